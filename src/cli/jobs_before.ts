/** @file --prepare JOB.yaml: a job that makes data for the runs that are submitted, as a run of its own. */
import { basename, extname } from "node:path";
import type { Config } from "../config/config.ts";
import type { Before } from "../dispatch/before.ts";
import type { HostPaths } from "../dispatch/run_data.ts";
import type { Cell } from "../dispatch/submit.ts";
import { configSource, type LoadedJob, loadJob } from "../jobs/load_job.ts";
import { belowRoot, type MadeFolder } from "../jobs/run_data.ts";
import { ConfigError, UserError } from "../util/errors.ts";

/** Settings of jobs that say which folder they write; null: `ROOT/data/` and the run's name. */
const OUTPUTS = ["tokens/output", "import/output"];

export interface JobBefore {
  readonly run: Cell["run"];
  readonly job: LoadedJob;
  readonly source: string;
  readonly made: MadeFolder;
}

function madeBy(job: LoadedJob, source: string, root: string): { name: string; made: MadeFolder } {
  const { schema } = job.config;
  const output = OUTPUTS.find((path) => schema.fields.has(path));
  if (output === undefined)
    throw new ConfigError(`expected a job that makes data, got ${job.job.name}`, {
      hint: "data/tokenize, data/tokenize_rows and data/import do",
      place: { path: source },
    });
  const key = output.replaceAll("/", ".");
  const value = job.config.at(output);
  const stem = basename(source, extname(source));
  if (typeof value !== "string")
    return { name: stem, made: { key, value: "", path: `data/${stem}` } };
  const name = basename(value);
  if (!value.includes("/")) return { name, made: { key, value, path: `data/${value}` } };
  const below = belowRoot(value, root);
  if (below !== undefined) return { name, made: { key, value, path: below } };
  if (/^~?\//.test(value)) return { name, made: { key, value, path: value } };
  throw new ConfigError(`${key}: ${value} is a path of this machine`, {
    hint: "expected a name (below ROOT/data of the host), a path below ROOT, or one from / on",
    place: { path: source, key },
  });
}

export function jobsBefore(
  sources: readonly string[],
  { project, group }: { readonly project: string; readonly group: string },
  root: string,
): JobBefore[] {
  const names = new Set<string>();
  return sources.map((source) => {
    const job = loadJob(configSource(source));
    const { name, made } = madeBy(job, source, root);
    if (names.has(name))
      throw new ConfigError(`two jobs of --prepare make ${name}`, { place: { path: source } });
    names.add(name);
    return { run: { project, group, name }, job, source, made };
  });
}

/** Each must be for something. */
export function expectRead(jobs: readonly JobBefore[], read: ReadonlySet<string>): void {
  for (const { made, source } of jobs)
    if (!read.has(made.path))
      throw new ConfigError(`nothing reads what it makes: ${made.path} of the host's ROOT`, {
        hint: `data.tokens=${made.path.startsWith("data/") ? basename(made.path) : made.path} reads it`,
        place: { path: source },
      });
}

function differing(before: Config, now: Config, free: readonly string[]): string[] {
  const paths = [...now.schema.fields.keys()].filter(
    (path) => !free.includes(path) && !path.startsWith("request/"),
  );
  return paths.flatMap((path) => {
    const [was, is] = [JSON.stringify(before.at(path)), JSON.stringify(now.at(path))];
    return was === is ? [] : [`\n  ${path.replaceAll("/", ".")}: ${was} -> ${is}`];
  });
}

/** A run goes on with the configuration that it began with, or not at all. */
export const sameAs =
  ({ job, run }: JobBefore, textOf: (paths: HostPaths) => string): Before["expectSame"] =>
  (text, paths) => {
    const load = (each: string) => loadJob({ name: `${run.name} on the host`, text: each });
    const [before, now] = [load(text), load(textOf(paths))];
    const free = job.job.kind === "task" ? job.job.free : [];
    const lines =
      before.job.name === now.job.name
        ? differing(before.config, now.config, free)
        : [`\n  job: ${before.job.name} -> ${now.job.name}`];
    if (lines.length === 0) return;
    throw new UserError(`${run.name} is on the host with another configuration:${lines.join("")}`, {
      code: "conflict",
      hint: "choose another name: tokens.output or the name of the file",
    });
  };
