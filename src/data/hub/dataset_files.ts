/**
 * @file Which files of a dataset's repository make up a configuration and split: what `configs:` at the top of its README says, else
 * what folders and names say (`config/train-00000.parquet`), as Python's `datasets` has it.
 */
import { readFileSync } from "node:fs";
import { Problems } from "../../config/problems.ts";
import { parseYaml } from "../../config/yaml.ts";
import { ConfigError, DataError, UserError } from "../../util/errors.ts";
import { didYouMean } from "../../util/suggest.ts";
import { formatOf } from "../sources/format.ts";
import { hubFile } from "./hub_file.ts";
import { type HubListing, hubFiles } from "./hub_files.ts";
import { type HubSettings, hubSettings } from "./settings.ts";

export interface DatasetRequest {
  readonly repo: string;
  readonly revision?: string;
  /** Absent: the default one, or the only one. */
  readonly config?: string;
  readonly split: string;
  /** Only so many of the files are fetched. */
  readonly maxFiles?: number;
}

export interface DatasetFile {
  readonly path: string;
  /** In the repository. */
  readonly name: string;
}

interface ConfigEntry {
  readonly name: string;
  readonly isDefault: boolean;
  /** Patterns by split; the key "" where no split is named. */
  readonly patterns: ReadonlyMap<string, readonly string[]>;
}

const strings = (value: unknown): string[] =>
  [value].flat().filter((each): each is string => typeof each === "string");

function patternsOf(dataFiles: unknown, dataDir: unknown): Map<string, string[]> {
  const patterns = new Map<string, string[]>();
  const add = (split: string, paths: unknown): void => {
    patterns.set(split, [...(patterns.get(split) ?? []), ...strings(paths)]);
  };
  if (dataFiles === undefined && typeof dataDir === "string") add("", `${dataDir}/**`);
  for (const each of [dataFiles].flat()) {
    if (typeof each === "string") add("", each);
    else if (typeof each === "object" && each !== null) {
      const { split, path, ...bySplit } = each as Record<string, unknown>;
      if (path !== undefined) add(typeof split === "string" ? split : "", path);
      else for (const [name, paths] of Object.entries(bySplit)) add(name, paths);
    }
  }
  return patterns;
}

/** `configs:` of a README's front matter. */
export function configsOf(readme: string, name: string): ConfigEntry[] {
  const matter = /^---\r?\n([\s\S]*?)\r?\n---/.exec(readme)?.[1];
  if (matter === undefined) return [];
  const tree = parseYaml({ name, text: matter }, 0, new Problems());
  const configs = tree.entries.get("configs")?.value;
  if (configs?.kind !== "value" || !Array.isArray(configs.value)) return [];
  return (configs.value as Record<string, unknown>[]).map((entry) => ({
    name: String(entry.config_name ?? "default"),
    isDefault: entry.default === true,
    patterns: patternsOf(entry.data_files, entry.data_dir),
  }));
}

const SPLITS: Readonly<Record<string, RegExp>> = {
  train: /(^|[/._\d-])(train|training)(?=[/._\d-]|$)/i,
  validation: /(^|[/._\d-])(validation|valid|val|dev)(?=[/._\d-]|$)/i,
  test: /(^|[/._\d-])(test|testing|eval|evaluation)(?=[/._\d-]|$)/i,
};

/** Files by the split that their names tell; all are "train" where no name tells any. */
function bySplit(files: readonly string[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const file of files) {
    const split = Object.keys(SPLITS).find((name) => SPLITS[name]?.test(file));
    if (split !== undefined) found.set(split, [...(found.get(split) ?? []), file]);
  }
  return found.size === 0 ? new Map([["train", [...files]]]) : found;
}

function nothing(what: string, given: string, known: Iterable<string>, key: string): ConfigError {
  const names = [...known];
  return new ConfigError(`${what} is named ${given}.${didYouMean(given, names)}`, {
    hint: `there are: ${names.join(", ")}`,
    place: { key },
  });
}

function chosenConfig(configs: readonly ConfigEntry[], request: DatasetRequest): ConfigEntry {
  const { repo, config } = request;
  const named = configs.find(({ name }) => name === config);
  if (named !== undefined) return named;
  const names = configs.map(({ name }) => name);
  if (config !== undefined)
    throw nothing(`no configuration of ${repo}`, config, names, "source.config");
  const [only, ...more] = configs;
  const usual = configs.find((c) => c.isDefault) ?? configs.find(({ name }) => name === "default");
  const chosen = usual ?? (more.length === 0 ? only : undefined);
  if (chosen !== undefined) return chosen;
  throw new ConfigError(`${repo} has several configurations: ${names.join(", ")}`, {
    hint: "choose one with source.config",
    place: { key: "source.config" },
  });
}

const matching = (files: readonly string[], patterns: readonly string[]): string[] => {
  const globs = patterns.map((pattern) => new Bun.Glob(pattern.replace(/^\.\//, "")));
  return files.filter((file) => globs.some((glob) => glob.match(file)));
};

/** Names of the files that a request means, among all of the repository. */
export function chosenFiles(
  all: readonly string[],
  configs: readonly ConfigEntry[],
  request: DatasetRequest,
): string[] {
  const files = all.filter((file) => formatOf(file) !== undefined && !file.startsWith("."));
  const { repo, split } = request;
  let splits: ReadonlyMap<string, readonly string[]>;
  if (configs.length > 0) {
    const { patterns } = chosenConfig(configs, request);
    const whole = patterns.get("");
    splits =
      whole === undefined
        ? new Map([...patterns].map(([name, each]) => [name, matching(files, each)]))
        : bySplit(matching(files, whole));
  } else {
    const { config } = request;
    const below = (file: string): boolean =>
      config === undefined || file.split("/").slice(0, -1).includes(config);
    const folders = new Set(files.flatMap((file) => file.split("/").slice(0, -1)));
    if (!files.some(below))
      throw nothing(`no configuration of ${repo}`, config ?? "", folders, "source.config");
    splits = bySplit(files.filter(below));
  }
  const chosen = splits.get(split);
  if (chosen === undefined)
    throw nothing(`no split of ${repo}`, split, splits.keys(), "source.split");
  if (chosen.length === 0)
    throw new DataError(`the split ${split} of ${repo} has no file that can be read`);
  return [...chosen].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

/** What a request means, of one commit; of the files themselves only the README is fetched. */
export async function datasetEntries(
  request: DatasetRequest,
  settings: HubSettings = hubSettings(),
): Promise<HubListing> {
  const { repo, revision } = request;
  const options = { kind: "dataset" as const, settings, ...(revision ? { revision } : {}) };
  const { commit, files } = await hubFiles(repo, options);
  const at = { ...options, revision: commit };
  const names = files.map(({ path }) => path);
  const readme = names.includes("README.md") ? await readmeOf(repo, at, settings) : "";
  const chosen = chosenFiles(names, configsOf(readme, `README.md of ${repo}`), request);
  const wanted = chosen.slice(0, request.maxFiles ?? chosen.length);
  const entries = new Map(files.map((file) => [file.path, file]));
  return { commit, files: wanted.flatMap((name) => entries.get(name) ?? []) };
}

/** Fetches what is not in the cache yet. */
export async function hubDataset(
  request: DatasetRequest,
  settings: HubSettings = hubSettings(),
): Promise<DatasetFile[]> {
  const { commit, files } = await datasetEntries(request, settings);
  const at = { kind: "dataset" as const, settings, revision: commit };
  const fetched: DatasetFile[] = [];
  for (const { path: name } of files)
    fetched.push({ name, path: await hubFile(request.repo, name, at) });
  return fetched;
}

async function readmeOf(
  repo: string,
  at: { kind: "dataset"; revision: string },
  settings: HubSettings,
): Promise<string> {
  try {
    return readFileSync(await hubFile(repo, "README.md", at), "utf8");
  } catch (error) {
    // Offline, a README that nobody fetched: names alone must tell.
    if (settings.offline && error instanceof UserError) return "";
    throw error;
  }
}
