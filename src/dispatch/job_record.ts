/** @file What is written down about a submitted job: in its run's folder, which is the record, and here, which is a cache. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { writeAtomically } from "../util/atomic_file.ts";
import { UserError } from "../util/errors.ts";
import type { RunName } from "./job_spec.ts";
import { runText } from "./job_spec.ts";
import { stateFolder } from "./state_folder.ts";

export interface JobRecord extends RunName {
  readonly schema_version: 1;
  /** As the dispatch file calls it. */
  readonly host: string;
  readonly scheduler: "slurm" | "plain";
  readonly submission: string;
  /** The scheduler's name of the job; on a host without scheduler a process and when it began. */
  readonly job: string;
  /** Seconds since 1970 by the host's clock. */
  readonly submitted: number;
  readonly directory: string;
  readonly log: string;
  readonly binary: string;
  readonly user: string;
  readonly chip: string | null;
  readonly chips: number;
  readonly nodes: number;
  readonly time_s: number | null;
  readonly hang_s: number;
  /** Runs that make what this one reads. */
  readonly after?: readonly string[];
}

const jobsFolder = (): string => join(stateFolder(), "jobs");

export function remember(record: JobRecord): void {
  const { host, project, group, name } = record;
  const folder = join(jobsFolder(), host, project, group);
  mkdirSync(folder, { recursive: true });
  writeAtomically(join(folder, `${name}.json`), `${JSON.stringify(record, null, 2)}\n`);
}

const entries = (path: string): string[] =>
  existsSync(path) && statSync(path).isDirectory() ? readdirSync(path).sort() : [];

/** Everything that was submitted from here, by host. */
export function remembered(): JobRecord[] {
  const out: JobRecord[] = [];
  const root = jobsFolder();
  for (const host of entries(root))
    for (const project of entries(join(root, host)))
      for (const group of entries(join(root, host, project)))
        for (const file of entries(join(root, host, project, group))) {
          if (!file.endsWith(".json")) continue;
          try {
            const text = readFileSync(join(root, host, project, group, file), "utf8");
            out.push(JSON.parse(text) as JobRecord);
          } catch {
            // Half-written by a version long gone: the host has the record.
          }
        }
  return out;
}

/** `[[project/]group/]name`, or nothing for all. */
export const matching = <R extends RunName>(runs: readonly R[], name: string | undefined): R[] =>
  name === undefined
    ? [...runs]
    : runs.filter((run) => runText(run) === name || runText(run).endsWith(`/${name}`));

export function onlyOne<R extends RunName & { host: string }>(runs: readonly R[], name: string): R {
  const found = matching(runs, name);
  const [only, ...others] = found;
  if (only === undefined)
    throw new UserError(`no submitted run is named "${name}"`, {
      code: "not_found",
      hint: "--host HOST looks for it on a host itself",
    });
  if (others.length === 0) return only;
  const all = found.map((run) => `${run.host}:${runText(run)}`).join(", ");
  throw new UserError(`"${name}" may be any of ${all}`, {
    code: "not_found",
    hint: "give project/group/name, and --host",
  });
}
