/**
 * @file Several configurations under one command. `a.b=v` goes to every stage whose job has that setting, `2:a.b=v` to the second
 * stage alone; a setting that no stage has is told as a mistake in the first.
 */
import type { Source } from "../config/yaml.ts";
import type { AnyJob } from "../train/task.ts";
import { ConfigError } from "../util/errors.ts";
import { jobOf, type LoadedJob, loadJob } from "./load_job.ts";

const ADDRESSED = /^(\d+):(.*)$/s;

/** Whether the key of an override is a setting of the job, a group of settings, or inside a setting. */
function owns(job: AnyJob, override: string): boolean {
  const path = override.slice(0, override.indexOf("=")).trim().replaceAll(".", "/");
  for (const field of job.schema.fields.keys())
    if (field === path || field.startsWith(`${path}/`) || path.startsWith(`${field}/`)) return true;
  return false;
}

/** Which stages an override is for, from 0. */
function stagesFor(text: string, jobs: readonly AnyJob[]): readonly number[] {
  const addressed = ADDRESSED.exec(text);
  if (addressed === null) {
    const owners = jobs.flatMap((job, i) => (owns(job, text) ? [i] : []));
    return owners.length === 0 ? [0] : owners;
  }
  const stage = Number(addressed[1]);
  if (stage >= 1 && stage <= jobs.length) return [stage - 1];
  throw new ConfigError(`${text}: expected a stage from 1 to ${jobs.length}, got ${stage}`, {
    place: { path: "command line" },
  });
}

export function loadStages(sources: readonly Source[], overrides: readonly string[]): LoadedJob[] {
  const jobs = sources.map(jobOf);
  const perStage = sources.map((): string[] => []);
  for (const text of overrides)
    for (const stage of stagesFor(text, jobs))
      perStage[stage]?.push(ADDRESSED.exec(text)?.[2] ?? text);
  return sources.map((source, stage) => loadJob(source, perStage[stage]));
}
