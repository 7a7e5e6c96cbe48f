/**
 * @file What configurations name of the Hugging Face hub, brought into the cache as the jobs themselves will look for it; with
 * HF_HUB_OFFLINE=1, whether it is there.
 */
import { existsSync } from "node:fs";
import { DATASETS } from "../data/datasets/registry.ts";
import { dataFields } from "../data/fields.ts";
import { hubDataset } from "../data/hub/dataset_files.ts";
import { readIndex } from "../data/shards/token_folder.ts";
import { sourceFields } from "../data/sources/fields.ts";
import { resolveSource } from "../data/sources/resolve.ts";
import { hubTokenizer } from "../data/tokenizers/hub_tokenizer.ts";
import { taskNamed } from "../evaluate/builtin_tasks.ts";
import { taskFields } from "../evaluate/fields.ts";
import { FILE_LOADERS } from "../evaluate/items.ts";
import { log } from "../util/log.ts";
import { hubModel } from "./hub_model.ts";
import type { LoadedJob } from "./load_job.ts";
import { modelFolder } from "./model_place.ts";
import { type NamedPlace, namedPlaces } from "./named_places.ts";

const HUB = "hf:";

/** Examples are drawn from a split of their own. */
async function fetchTask(name: string, { config }: LoadedJob): Promise<boolean> {
  const { source, split, fewshotSplit, shots } = taskNamed(name);
  if (FILE_LOADERS.has(source.path)) return false;
  const drawn = config.get(taskFields.shots) ?? shots;
  const splits = new Set([split, ...(drawn > 0 && fewshotSplit !== null ? [fewshotSplit] : [])]);
  for (const each of splits) {
    const request = { repo: source.path, split: each };
    await hubDataset(source.config === null ? request : { ...request, config: source.config });
  }
  return true;
}

/** Adapters name what they belong to; it is looked for when they are opened. */
async function fetchModel(value: string): Promise<boolean> {
  if (!value.startsWith(HUB) && !existsSync(value)) return false;
  await modelFolder(value);
  return true;
}

async function fetchTokenizerOf(folder: string, { config }: LoadedJob): Promise<boolean> {
  if (!existsSync(folder) || config.get(dataFields.tokenizer) !== "bytes") return false;
  const { name } = readIndex(folder).tokenizer;
  if (!name.startsWith(HUB)) return false;
  await hubTokenizer(name.slice(HUB.length));
  return true;
}

/** False: it has nothing to do with the hub. */
async function fetchPlace({ kind, value, key }: NamedPlace, job: LoadedJob): Promise<boolean> {
  const isHub = value.startsWith(HUB);
  switch (kind) {
    case "tokenizer":
      if (isHub) await hubTokenizer(value.slice(HUB.length));
      return isHub;
    case "start":
    case "judged":
      return fetchModel(value);
    case "tokens":
      return fetchTokenizerOf(value, job);
    case "dataset":
    case "source": {
      const usual = kind === "dataset" ? DATASETS.named(value) : undefined;
      if (!isHub && usual?.hub === undefined) return false;
      if (!job.config.schema.fields.has(sourceFields.files.path)) return false;
      await resolveSource(job.config.values(sourceFields), usual?.kind ?? "text");
      return true;
    }
    case "task":
      return fetchTask(value, job);
    case "other":
      if (isHub) log.warn(`${key}: nothing says what ${value} is: it must be in the cache already`);
      return false;
    case "text":
    case "template":
      return false;
    default:
      return kind satisfies never;
  }
}

/** The values that it has seen to. */
export async function fetchNamed(
  jobs: readonly LoadedJob[],
  initFrom: string | undefined,
): Promise<string[]> {
  const seen = new Set<string>();
  for (const job of jobs)
    for (const place of namedPlaces(job.config))
      if (!seen.has(place.value) && (await fetchPlace(place, job))) seen.add(place.value);
  if (initFrom?.startsWith(HUB)) {
    await hubModel(initFrom.slice(HUB.length));
    seen.add(initFrom);
  } else if (initFrom !== undefined && (await fetchModel(initFrom))) seen.add(initFrom);
  return [...seen];
}
