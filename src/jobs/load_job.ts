/** @file From what the user names (a YAML file or a preset) to a job and its checked configuration. */
import { readFileSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import type { Config } from "../config/config.ts";
import { loadConfigWithOrigins } from "../config/load.ts";
import { type Origin, Problems } from "../config/problems.ts";
import { parseYaml, type Source } from "../config/yaml.ts";
import type { Job } from "../train/job.ts";
import type { AnyJob, Task } from "../train/task.ts";
import { ConfigError, UserError } from "../util/errors.ts";
import { didYouMean } from "../util/suggest.ts";
import { PRESETS, presetNamed } from "./presets.ts";
import { DEFAULT_JOB, jobNamed } from "./registry.ts";

export interface LoadedJob<J extends AnyJob = AnyJob> {
  readonly job: J;
  readonly config: Config;
  readonly source: Source;
  /** Where each value was written; null: nowhere, it is the default. */
  readonly origins: ReadonlyMap<string, Origin | null>;
}

/** A preset's name wins over a file of the same name only when there is no such file. */
export function configSource(name: string): Source {
  const found = readSource(name, name) ?? presetNamed(name);
  if (found !== undefined) return found;
  throw new UserError(`no file and no preset is named ${name}.${didYouMean(name, PRESETS)}`, {
    code: "not_found",
    hint: `presets: ${PRESETS.join(", ")}`,
  });
}

function readSource(path: string, shown: string): Source | undefined {
  try {
    return { name: shown, text: readFileSync(path, "utf8") };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    const why = error instanceof Error ? error.message : String(error);
    throw new UserError(`cannot read ${shown}: ${why}`, { code: "config" });
  }
}

/** A file beside the one that names it; its name leads to what it extends itself. */
function presetFor(name: string, from: string): Source | undefined {
  const path = isAbsolute(name) ? name : join(dirname(from), name);
  return readSource(path, path) ?? presetNamed(name);
}

/** What a file or one that it extends says of a key; the last that says something counts. */
function topLevel(source: Source, key: string, open: readonly string[] = []): unknown {
  const problems = new Problems();
  const root = parseYaml(source, 0, problems);
  problems.throwIfAny();
  const at = (name: string): unknown => {
    const found = root.entries.get(name)?.value;
    return found?.kind === "value" ? found.value : undefined;
  };
  const own = at(key);
  if (own !== undefined) return own;
  for (const name of [at("extends")].flat().reverse()) {
    // What is wrong with it is told when the configuration is loaded.
    const base = typeof name === "string" ? presetFor(name, source.name) : undefined;
    if (base === undefined || open.includes(base.name)) continue;
    const found = topLevel(base, key, [...open, base.name]);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The file says which job it configures, so it is read once for that alone. */
export function jobOf(source: Source): AnyJob {
  const name = topLevel(source, "job", [source.name]);
  return jobNamed(typeof name === "string" ? name : DEFAULT_JOB);
}

export function loadJob(source: Source, overrides: readonly string[] = []): LoadedJob {
  const job = jobOf(source);
  const { schema } = job;
  const loaded = loadConfigWithOrigins({ schema, source, overrides, preset: presetFor });
  return { job, source, ...loaded };
}

/** The same as a task; undefined: it is a training. */
export function asTask(loaded: LoadedJob): LoadedJob<Task> | undefined {
  const { job } = loaded;
  return job.kind === "task" ? { ...loaded, job } : undefined;
}

/** The same as a training; throws when the job is something else. */
export function asTraining(loaded: LoadedJob): LoadedJob<Job> {
  return { ...loaded, job: expectTraining(loaded.job, loaded.source.name) };
}

export function expectTraining(job: AnyJob, path?: string): Job {
  if (job.kind === "training") return job;
  throw new ConfigError(`expected a training, but ${job.name} is none: its work is to ${job.doc}`, {
    hint: "theseus jobs lists what there is",
    place: path === undefined ? {} : { path },
  });
}

export const loadTraining = (source: Source, overrides: readonly string[] = []): LoadedJob<Job> =>
  asTraining(loadJob(source, overrides));
