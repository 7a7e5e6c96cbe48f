/** @file From `source:` of a configuration to files on this machine; what is on the hub is fetched. */
import { resolve } from "node:path";
import type { Values } from "../../config/field.ts";
import { ConfigError } from "../../util/errors.ts";
import type { ChatFormat } from "../chat/read_conversation.ts";
import type { DatasetDefinition } from "../datasets/dataset.ts";
import { DATASETS } from "../datasets/registry.ts";
import { type DatasetRequest, hubDataset } from "../hub/dataset_files.ts";
import { byText, expandEntry, sourceFile } from "./expand.ts";
import type { sourceFields } from "./fields.ts";
import type { SourceFile } from "./source_file.ts";

export type SourceValues = Values<typeof sourceFields>;

export interface ResolvedSource {
  readonly files: readonly SourceFile[];
  readonly textField: string;
  /** How its records are to be read, as the dataset's own definition says. */
  readonly format: ChatFormat | null;
}

const HUB = "hf:";

/** What the settings mean of a repository; `usual`: what a dataset by name says besides. */
export function datasetRequest(
  repo: string,
  source: SourceValues,
  usual: DatasetDefinition | null,
): DatasetRequest {
  const config = source.config ?? usual?.config;
  const revision = source.revision ?? usual?.revision;
  return {
    repo,
    split: source.split ?? usual?.split ?? "train",
    ...(config === undefined ? {} : { config }),
    ...(revision === undefined ? {} : { revision }),
    ...(source.maxFiles === null ? {} : { maxFiles: source.maxFiles }),
  };
}

async function onHub(
  repo: string,
  source: SourceValues,
  usual: DatasetDefinition | null,
): Promise<SourceFile[]> {
  const files = await hubDataset(datasetRequest(repo, source, usual));
  return files.map(({ path, name }) => sourceFile(path, name));
}

async function filesOf(source: SourceValues, entries: readonly string[]): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  for (const entry of entries)
    files.push(
      ...(entry.startsWith(HUB)
        ? await onHub(entry.slice(HUB.length), source, null)
        : expandEntry(entry)),
    );
  const paths = files.map(({ path }) => resolve(path)).sort(byText);
  const twice = paths.find((path, i) => path === paths[i + 1]);
  if (twice !== undefined)
    throw new ConfigError(`${twice} is named twice`, { place: { key: "source.files" } });
  return files;
}

/** `kind`: what the job can read. */
export async function resolveSource(
  source: SourceValues,
  kind: DatasetDefinition["kind"],
): Promise<ResolvedSource> {
  const { dataset: name, files: entries } = source;
  if (name === null && entries.length === 0)
    throw new ConfigError("nothing to read: expected source.files or source.dataset", {
      hint: `source.files=[corpus.jsonl], or source.dataset=${DATASETS.names[2]}`,
      place: { key: "source.files" },
    });
  if (name !== null && entries.length > 0)
    throw new ConfigError("expected either source.files or source.dataset, got both", {
      place: { key: "source.dataset" },
    });
  const usual = name === null ? null : DATASETS.named(name);
  if (usual !== null && usual.kind !== kind)
    throw new ConfigError(`the dataset ${usual.name} holds ${usual.kind}, expected ${kind}`, {
      hint:
        usual.kind === "text" ? "data/tokenize reads it" : `data/tokenize_${usual.kind} reads it`,
      place: { key: "source.dataset" },
    });
  const files =
    usual?.hub === undefined
      ? await filesOf(source, usual?.files ?? entries)
      : await onHub(usual.hub, source, usual);
  return {
    files: files.slice(0, source.maxFiles ?? files.length),
    textField: source.textField ?? usual?.textField ?? "text",
    format: usual?.format ?? null,
  };
}
