/**
 * @file Loads users' TypeScript (`--load`, `script`). `import … from "theseus"` in such a file means the modules that are
 * running here, in a source tree as in the executable, so that what it registers is what the program sees.
 */
import { copyFileSync, mkdirSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { plugin } from "bun";
import { ConfigError } from "../util/errors.ts";
import { userFault } from "./user_fault.ts";

export const loadArgs = {
  load: { valueHint: "file.ts", description: "your own jobs and models in TypeScript" },
} as const;

/** Absolute paths, in the order of loading. */
const loaded: string[] = [];
let exportedNames: readonly string[] = [];

async function providePackage(): Promise<void> {
  if (exportedNames.length > 0) return;
  const exports = { ...(await import("../index.ts")) };
  exportedNames = Object.keys(exports);
  plugin({
    name: "theseus",
    setup(build) {
      build.module("theseus", () => ({ exports, loader: "object" }));
    },
  });
}

/** Runs a file of the user's. Whatever goes wrong in it is the user's to fix, and is told with file and line. */
export async function loadUserFile(file: string): Promise<void> {
  const path = resolve(file);
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true)
    throw new ConfigError(`there is no file ${file}`, { place: { path: file } });
  await providePackage();
  loaded.push(path);
  try {
    await import(path);
  } catch (error) {
    throw userFault(error, path, exportedNames);
  }
}

export async function loadUserCode(files: readonly string[]): Promise<void> {
  for (const file of files) await loadUserFile(file);
}

/** Keeps what was loaded beside the run's configuration: the files themselves, not what they import. */
export function keepUserCode(directory: string): void {
  if (loaded.length === 0) return;
  const folder = join(directory, "code");
  mkdirSync(folder, { recursive: true });
  const taken = new Set<string>();
  for (const path of loaded) {
    const name = taken.has(basename(path)) ? `${taken.size}-${basename(path)}` : basename(path);
    taken.add(name);
    copyFileSync(path, join(folder, name));
  }
}

/** An error that users' code raised later, while a model was built or traced; undefined when it is not theirs. */
export function laterFault(error: unknown): ConfigError | undefined {
  const path = loaded.at(-1);
  if (path === undefined) return undefined;
  const fault = userFault(error, path, exportedNames);
  return fault.place.line === undefined || !(fault instanceof ConfigError) ? undefined : fault;
}
