/** @file Where an evaluation's results are: a folder that holds results.json, or RUN, whose newest evaluation is meant. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { EVALUATIONS } from "../evaluate/results.ts";
import { UserError } from "../util/errors.ts";
import { findRun } from "./place.ts";

/** `RUN@step-000123` is the evaluation of that checkpoint. */
export function resultsFolder(named: string, root: string): string {
  const has = (folder: string): boolean => existsSync(join(folder, "results.json"));
  if (has(named)) return named;
  const at = named.lastIndexOf("@");
  const directory = findRun(at === -1 ? named : named.slice(0, at), root);
  const all = join(directory, EVALUATIONS);
  const time = (folder: string): number => statSync(join(folder, "results.json")).mtimeMs;
  const found = (existsSync(all) ? readdirSync(all) : [])
    .map((name) => join(all, name))
    .filter((folder) => has(folder))
    .filter((folder) => at === -1 || basename(folder).startsWith(named.slice(at + 1)))
    .sort((x, y) => time(y) - time(x));
  const [newest] = found;
  if (newest !== undefined) return newest;
  throw new UserError(`${named} has no evaluation`, {
    code: "not_found",
    hint: `theseus eval ${named} --tasks … makes one`,
  });
}
