/**
 * @file What a run needs on the host that it is submitted to. What is here goes by its content; what is not here is looked for there:
 * at the same path, or below the cluster's root where it would be below ROOT here.
 */
import { existsSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { DATASETS } from "../data/datasets/registry.ts";
import { dataFields } from "../data/fields.ts";
import { readIndex } from "../data/shards/token_folder.ts";
import { expandEntry } from "../data/sources/expand.ts";
import { sourceFields } from "../data/sources/fields.ts";
import { datasetRequest } from "../data/sources/resolve.ts";
import { ENCODING_NAMES } from "../data/tokenizers/openai.ts";
import { BESIDE, TOKENIZER_FILE } from "../data/tokenizers/tokenizer_folder.ts";
import { type Asset, assetFrom, assetOf } from "../dispatch/assets.ts";
import {
  type HostPlace,
  type HubNeed,
  INIT_FROM,
  joined,
  nameOf,
  type RunData,
} from "../dispatch/run_data.ts";
import { taskNamed } from "../evaluate/builtin_tasks.ts";
import { FILE_LOADERS } from "../evaluate/items.ts";
import { ConfigError } from "../util/errors.ts";
import { type HubPart, hubBytes } from "./hub_bytes.ts";
import type { LoadedJob } from "./load_job.ts";
import { modelNeeds, weightsNeeds } from "./model_assets.ts";
import { type NamedPlace, namedPlaces } from "./named_places.ts";
import { taskFiles } from "./task_files.ts";

/** A folder that a job before the run makes. */
export interface MadeFolder {
  /** The setting of that job that names it, as it is written. */
  readonly key: string;
  readonly value: string;
  /** Below the cluster's root, or from / or ~/ on. */
  readonly path: string;
}

export const madePlace = ({ key, value, path }: MadeFolder): HostPlace => ({
  ...{ key, value, path },
  kind: /^~?\//.test(path) ? "path" : "below root",
});

export interface DataContext {
  /** ROOT here. */
  readonly root: string;
  readonly made: readonly MadeFolder[];
}

interface Part {
  readonly assets?: readonly Asset[];
  readonly hub?: readonly HubNeed[];
  readonly places?: readonly HostPlace[];
  readonly made?: readonly HostPlace[];
}

const REPO = /^hf:([\w.-]+\/[\w.-]+)/;

function ofHub({ key, value }: NamedPlace, kind: HubNeed["kind"], part: HubPart | null): HubNeed[] {
  const repo = REPO.exec(value)?.[1];
  const bytes = async () => (part === null ? null : hubBytes(value, part));
  return repo === undefined ? [] : [{ key, value, repo, kind, bytes }];
}

/** The part of a path below ROOT; undefined: it lies elsewhere. */
export function belowRoot(path: string, root: string): string | undefined {
  const below = relative(resolve(root), resolve(path));
  return below === "" || below.startsWith("..") ? undefined : below;
}

function onHost({ key, value }: NamedPlace, { root }: DataContext): HostPlace {
  const below = belowRoot(value, root);
  if (below !== undefined) return { key, value, kind: "below root", path: below };
  if (/^~?\//.test(value)) return { key, value, kind: "path", path: value };
  return { key, value, kind: "nowhere", path: value };
}

const GLOB = /[*?[{]/;

/** Names below the folder are the same on every machine, and decide the order. */
async function sourceAsset({ key, value }: NamedPlace): Promise<Asset | undefined> {
  const isPattern = !existsSync(value) && GLOB.test(value);
  if (!isPattern && !existsSync(value)) return undefined;
  if (!isPattern && statSync(value).isFile()) return assetOf(key, value);
  const base = isPattern ? (/^[^*?[{]*\//.exec(value)?.[0] ?? "./") : value;
  const files = expandEntry(value).map(({ path }) => ({ path: relative(base, path), local: path }));
  const entry = isPattern ? value.slice(base === "./" ? 0 : base.length) : "";
  return assetFrom({ key, value, local: resolve(base), files, entry });
}

/** As the job itself would say, to which they come under different names. */
function expectOnce(assets: readonly Asset[]): void {
  const seen = new Map<string, string>();
  for (const { key, value, files } of assets)
    for (const { local } of files) {
      const path = resolve(local);
      const other = seen.get(path) ?? value;
      if (other !== value)
        throw new ConfigError(`${path} is named twice: by ${other} and by ${value}`, {
          place: { key },
        });
      seen.set(path, value);
    }
}

/** A folder, or one of its files with what belongs to it. */
function folderAsset({ key, value }: NamedPlace, names: readonly string[]): Promise<Asset> {
  const whole = statSync(value).isDirectory();
  const local = resolve(whole ? value : dirname(value));
  const files = names
    .map((name) => ({ path: name, local: join(local, name) }))
    .filter((file) => existsSync(file.local));
  return assetFrom({ key, value, local, files, entry: whole ? "" : TOKENIZER_FILE });
}

const isTokenizerFile = (value: string): boolean =>
  statSync(value).isDirectory() || value.endsWith(`/${TOKENIZER_FILE}`) || value === TOKENIZER_FILE;

async function tokenizerPart(place: NamedPlace, context: DataContext): Promise<Part> {
  if (place.value.startsWith("hf:")) return { hub: ofHub(place, "model", "tokenizer") };
  if (!existsSync(place.value)) return { places: [onHost(place, context)] };
  const { key, value } = place;
  return {
    assets: [
      isTokenizerFile(value)
        ? await folderAsset(place, [TOKENIZER_FILE, ...BESIDE])
        : await assetOf(key, value),
    ],
  };
}

/** The setting that says where the tokenizer of a folder of tokens lies; `bytes`: where the folder says. */
async function tokensPart(
  place: NamedPlace,
  { config }: LoadedJob,
  context: DataContext,
): Promise<Part> {
  const { key, value } = place;
  const names = new Set([value, belowRoot(value, context.root), `data/${value}`]);
  const made = context.made.find(({ path }) => names.has(path));
  if (made !== undefined) return { made: [madePlace({ ...made, key, value })] };
  if (!existsSync(value)) return { places: [onHost(place, context)] };
  const asset = await assetOf(key, value);
  const { name } = readIndex(value).tokenizer;
  const own = config.schema.fields.has(dataFields.tokenizer.path)
    ? config.get(dataFields.tokenizer)
    : name;
  if (own !== "bytes" || name === "bytes" || ENCODING_NAMES.includes(name))
    return { assets: [asset] };
  const found = await tokenizerPart(
    { key: "data.tokenizer", value: name, kind: "tokenizer" },
    context,
  );
  const told = (found.assets ?? []).map((each) => ({ ...each, value: "bytes" }));
  return { ...found, assets: [asset, ...told] };
}

async function modelPart(place: NamedPlace, context: DataContext): Promise<Part> {
  if (place.value.startsWith("hf:")) return { hub: ofHub(place, "model", "model") };
  const needs = place.key === INIT_FROM ? weightsNeeds : modelNeeds;
  const found = await needs(place, context.root);
  if (found !== undefined) return { assets: [found.asset], hub: found.hub };
  const { key, value } = place;
  const isRun = /^[\w.-]+(\/[\w.-]+){0,2}(@[\w.-]+)?$/.test(value);
  const run: HostPlace = { key, value, kind: "run", path: value.replace(/@[^@]*$/, "") };
  return { places: [isRun ? run : onHost(place, context)] };
}

function sourceOnHub(place: NamedPlace, { config }: LoadedJob): HubNeed[] {
  const known = config.schema.fields.has(sourceFields.files.path);
  const request = known
    ? datasetRequest(place.value.slice("hf:".length), config.values(sourceFields), null)
    : null;
  return ofHub(place, "dataset", request);
}

function datasetPart(place: NamedPlace, { config }: LoadedJob): Part {
  const usual = DATASETS.named(place.value);
  const { hub, files = [] } = usual;
  const { key, value } = place;
  if (hub !== undefined) {
    const request = datasetRequest(hub, config.values(sourceFields), usual);
    const bytes = () => hubBytes(value, request);
    return { hub: [{ key, value, repo: hub, kind: "dataset", bytes }] };
  }
  return { places: files.map((path) => absoluteFile(place, path)) };
}

/** Files that users' code names cannot be given another place. */
function absoluteFile({ key, value }: NamedPlace, path: string): HostPlace {
  if (path.startsWith("/")) return { key, value: path, kind: "path", path };
  throw new ConfigError(`${value} of your code names ${path}, a file of this machine`, {
    hint: "a path from / on is looked for on the host; source.files can be copied there",
    place: { key },
  });
}

async function taskPart(place: NamedPlace, context: DataContext): Promise<Part> {
  const { key, value } = place;
  const isFile = /\.ya?ml$/.test(value);
  if (isFile && !existsSync(value)) return { places: [onHost(place, context)] };
  const { source, split } = taskNamed(value);
  const local = FILE_LOADERS.has(source.path);
  const config = source.config === null ? {} : { config: source.config };
  const bytes = () => hubBytes(value, { repo: source.path, split, ...config });
  const hub: HubNeed[] = local ? [] : [{ key, value, repo: source.path, kind: "dataset", bytes }];
  if (!isFile)
    return local
      ? {
          places: Object.values(source.files)
            .flat()
            .map((path) => absoluteFile(place, path)),
        }
      : { hub };
  const { folder, entry, paths } = taskFiles(value);
  const files = paths.map((path) => ({ path, local: join(folder, path) }));
  return { hub, assets: [await assetFrom({ key, value, local: folder, files, entry })] };
}

const TEMPLATE_FILES = ["tokenizer_config.json", "chat_template.jinja", "chat_template.json"];

async function partOf(place: NamedPlace, job: LoadedJob, context: DataContext): Promise<Part> {
  const { key, value, kind } = place;
  switch (kind) {
    case "tokens":
      return tokensPart(place, job, context);
    case "tokenizer":
      return tokenizerPart(place, context);
    case "start":
    case "judged":
      return modelPart(place, context);
    case "dataset":
      return datasetPart(place, job);
    case "task":
      return taskPart(place, context);
    case "source": {
      if (value.startsWith("hf:")) return { hub: sourceOnHub(place, job) };
      const asset = await sourceAsset(place);
      return asset === undefined ? { places: [onHost(place, context)] } : { assets: [asset] };
    }
    case "template":
      if (existsSync(value) && statSync(value).isDirectory())
        return { assets: [await folderAsset(place, TEMPLATE_FILES)] };
      break;
    case "other":
      if (value.startsWith("hf:")) return { hub: ofHub(place, "either", null) };
      break;
    case "text":
      break;
    default:
      return kind satisfies never;
  }
  return existsSync(value)
    ? { assets: [await assetOf(key, value)] }
    : { places: [onHost(place, context)] };
}

const EMPTY: RunData = { assets: [], hub: [], places: [], made: [] };

const PARTS = /^(source\/|evaluation\/shots$)/;

/** Settings that choose among the files of a repository. */
const partsOf = ({ config }: LoadedJob): string =>
  JSON.stringify(
    [...config.schema.fields.keys()]
      .filter((path) => PARTS.test(path))
      .map((path) => config.at(path)),
  );

export interface JobsData {
  readonly data: RunData;
  /** What each job needs of the hub, with all that says which part of it. */
  readonly hub: ReadonlyMap<LoadedJob, readonly string[]>;
}

/** Of all runs together; what several name is looked at once. */
export async function runData(
  jobs: readonly LoadedJob[],
  context: DataContext,
  initFrom?: string,
): Promise<JobsData> {
  const parts = new Map<string, RunData>();
  const hub = new Map<LoadedJob, string[]>();
  const look = async (name: string, find: () => Promise<Part>): Promise<RunData> => {
    const part = parts.get(name) ?? { ...EMPTY, ...(await find()) };
    parts.set(name, part);
    return part;
  };
  const begin: NamedPlace = { key: INIT_FROM, value: initFrom ?? "", kind: "start" };
  for (const job of jobs) {
    const own: string[] = [];
    hub.set(job, own);
    const sources: Asset[] = [];
    for (const place of namedPlaces(job.config)) {
      const tokenizer = place.kind === "tokens" ? ` ${job.config.get(dataFields.tokenizer)}` : "";
      const name = `${nameOf(place)}${tokenizer}`;
      const part = await look(name, () => partOf(place, job, context));
      own.push(...part.hub.map((need) => `${nameOf(need)} ${partsOf(job)}`));
      if (place.kind === "source") sources.push(...part.assets);
    }
    expectOnce(sources);
    if (initFrom !== undefined)
      own.push(...(await look(INIT_FROM, () => modelPart(begin, context))).hub.map(nameOf));
  }
  return { hub, data: joined([...parts.values()]) };
}
