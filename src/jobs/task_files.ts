/** @file Files that a task's YAML file needs: itself, what it includes, and its data where that is in files. */
import { readFileSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { Problems } from "../config/problems.ts";
import { parseYaml } from "../config/yaml.ts";
import { expandEntry } from "../data/sources/expand.ts";
import { FILE_LOADERS } from "../evaluate/items.ts";
import { readTask } from "../evaluate/read_task.ts";
import { ConfigError } from "../util/errors.ts";

/** The file and those that it includes. */
function withIncluded(path: string): string[] {
  const source = { name: path, text: readFileSync(path, "utf8") };
  const include = parseYaml(source, 0, new Problems()).entries.get("include")?.value;
  const name = include?.kind === "value" ? include.value : undefined;
  if (typeof name !== "string") return [path];
  expectRelative(path, name);
  return [path, ...withIncluded(resolve(dirname(path), name))];
}

function expectRelative(path: string, name: string): void {
  if (!name.startsWith("/")) return;
  throw new ConfigError(`it names ${name}, a place of this machine alone`, {
    hint: "name it relative to the task's own file",
    place: { path },
  });
}

/** The folder that holds all of them. */
function commonFolder(paths: readonly string[]): string {
  let folder = dirname(paths[0] ?? "/");
  while (!paths.every((path) => path.startsWith(folder === "/" ? "/" : `${folder}/`)))
    folder = dirname(folder);
  return folder;
}

export interface TaskFiles {
  readonly folder: string;
  /** Below the folder: the task itself. */
  readonly entry: string;
  /** Below the folder. */
  readonly paths: readonly string[];
}

export function taskFiles(name: string): TaskFiles {
  const path = resolve(name);
  const { source } = readTask(path);
  const own = withIncluded(path);
  const named = FILE_LOADERS.has(source.path) ? Object.values(source.files).flat() : [];
  // What is written with a slash in front stays so when it is resolved: only the text tells.
  for (const text of own.map((file) => readFileSync(file, "utf8")))
    for (const each of named) if (text.includes(each)) expectRelative(path, each);
  const data = named.flatMap((entry) => expandEntry(entry).map((file) => resolve(file.path)));
  const all = [...new Set([...own, ...data])];
  const folder = commonFolder(all);
  return {
    folder,
    entry: relative(folder, path),
    paths: all.map((each) => relative(folder, each)),
  };
}
