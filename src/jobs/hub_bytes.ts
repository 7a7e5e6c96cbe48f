/** @file How large what a run needs of the hub is, as the hub says: asked once, and never worth an error. */
import { type DatasetRequest, datasetEntries } from "../data/hub/dataset_files.ts";
import { type HubListing, hubFiles } from "../data/hub/hub_files.ts";
import { hubSettings } from "../data/hub/settings.ts";
import { BESIDE, TOKENIZER_FILE } from "../data/tokenizers/tokenizer_folder.ts";
import { UserError } from "../util/errors.ts";
import { isModelFile } from "./hub_model.ts";

export type HubPart = "model" | "tokenizer" | DatasetRequest;

const isTokenizerFile = (path: string): boolean => [TOKENIZER_FILE, ...BESIDE].includes(path);

async function listing(value: string, part: HubPart): Promise<HubListing> {
  const settings = { ...hubSettings(), attempts: 1 };
  if (typeof part === "object") return datasetEntries(part, settings);
  const [name = "", revision] = value.replace(/^hf:/, "").split("@");
  const at = revision === undefined ? {} : { revision };
  const { commit, files } = await hubFiles(name, { kind: "model", settings, ...at });
  const wanted = part === "model" ? isModelFile : isTokenizerFile;
  return { commit, files: files.filter(({ path }) => wanted(path)) };
}

/** Null: the hub cannot be asked from here, or does not say. */
export async function hubBytes(value: string, part: HubPart): Promise<number | null> {
  try {
    const { files } = await listing(value, part);
    return files.reduce<number | null>(
      (sum, { bytes }) => (sum === null || bytes === null ? null : sum + bytes),
      0,
    );
  } catch (error) {
    if (error instanceof UserError) return null;
    throw error;
  }
}
