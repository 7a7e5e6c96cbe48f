/** @file MODEL as files that another machine needs of it: weights, what says what they are, the tokenizer. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { type Asset, assetFrom } from "../dispatch/assets.ts";
import type { HubNeed } from "../dispatch/run_data.ts";
import { ADAPTER_FILE, ADAPTER_JSON, readAdapterJson } from "../train/adapter_folder.ts";
import { INDEX_FILE, WEIGHTS_FILE } from "../train/checkpoint/weight_files.ts";
import { ConfigError, UserError } from "../util/errors.ts";
import { hubBytes } from "./hub_bytes.ts";
import { type ModelFiles, modelFiles } from "./model_place.ts";
import type { NamedPlace } from "./named_places.ts";

/** What goes with weights. */
const BESIDE = [
  ...["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"],
  ...["special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "config.yaml"],
  ...["tokenizer.model", "chat_template.jinja", ADAPTER_JSON, ADAPTER_FILE],
];

function weightNames(folder: string): string[] {
  const index = join(folder, INDEX_FILE);
  if (!existsSync(index)) return [WEIGHTS_FILE];
  const { weight_map: map } = JSON.parse(readFileSync(index, "utf8")) as { weight_map?: object };
  return [INDEX_FILE, ...new Set(Object.values(map ?? {}).map(String))];
}

const filesOf = (folder: string) =>
  [...BESIDE, ...weightNames(folder)]
    .map((name) => ({ path: name, local: join(folder, name) }))
    .filter(({ local }) => existsSync(local));

export interface ModelNeeds {
  readonly asset: Asset;
  readonly hub: readonly HubNeed[];
}

/** What adapters belong to must be of the hub: a path of this machine says nothing elsewhere. */
function baseOf({ key }: NamedPlace, folder: string): HubNeed[] {
  if (!existsSync(join(folder, ADAPTER_JSON))) return [];
  const { base } = readAdapterJson(folder);
  if (existsSync(base))
    throw new ConfigError(`${folder} holds adapters of ${base}, a folder of this machine`, {
      hint: "theseus checkpoint export --merge makes one model of both",
      place: { key },
    });
  return [
    { key, value: `hf:${base}`, repo: base, kind: "model", bytes: () => hubBytes(base, "model") },
  ];
}

const RESOLVED = "config.resolved.yaml";

/** The files of a run's checkpoint as if it had been exported. */
function ofRun({ runDirectory, weights = "" }: ModelFiles, folder: string) {
  const config = { path: "config.yaml", local: join(runDirectory, RESOLVED) };
  const others = filesOf(folder).filter(({ path }) => path !== config.path);
  if (weights === "")
    throw new UserError(`${runDirectory} has no checkpoint yet`, { code: "not_found" });
  return [...others, ...(existsSync(config.local) ? [config] : [])];
}

/** Undefined: nothing here has that name. */
export async function modelNeeds(place: NamedPlace, root: string): Promise<ModelNeeds | undefined> {
  const { key, value, kind } = place;
  if (value.endsWith(".safetensors") && existsSync(value)) {
    const local = resolve(value);
    return { asset: await assetFrom({ key, value, local, files: [{ path: "", local }] }), hub: [] };
  }
  const found = await foundModel(value, root);
  if (found === undefined) return undefined;
  const { weights = "", runDirectory } = found;
  const isFolder = statSync(weights, { throwIfNoEntry: false })?.isDirectory() === true;
  const folder = isFolder ? weights : dirname(weights);
  const own = resolve(runDirectory) === resolve(folder);
  const files = own ? filesOf(folder) : ofRun(found, folder);
  // A run of a family that Hugging Face knows begins with its folder; others are judged by their configuration.
  const local = own ? folder : kind === "judged" ? runDirectory : folder;
  const used =
    kind === "judged" ? files : files.filter(({ path }) => own || path !== "config.yaml");
  return { asset: await assetFrom({ key, value, local, files: used }), hub: baseOf(place, folder) };
}

async function foundModel(value: string, root: string): Promise<ModelFiles | undefined> {
  // Opening it would bring the model that the adapters belong to.
  if (existsSync(join(value, ADAPTER_JSON)) && !existsSync(join(value, "run.json")))
    return { runDirectory: value, weights: value };
  try {
    const found = await modelFiles(value, root);
    if (found.weights === undefined)
      throw new ConfigError(`${basename(found.runDirectory)} has no checkpoint yet`);
    return found;
  } catch (error) {
    if (error instanceof UserError && error.code === "not_found") return undefined;
    throw error;
  }
}

/** The weights alone, for a run that has a configuration of its own. */
export async function weightsNeeds(place: NamedPlace, root: string) {
  const found = await foundModel(place.value, root);
  const weights = found?.weights;
  if (weights === undefined || statSync(weights).isDirectory()) return modelNeeds(place, root);
  const asset = { key: place.key, value: place.value, local: weights };
  return { asset: await assetFrom({ ...asset, files: [{ path: "", local: weights }] }), hub: [] };
}
