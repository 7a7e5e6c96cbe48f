/** @file All jobs by name. */
import type { Job } from "../train/job.ts";
import { ConfigError } from "../util/errors.ts";
import { didYouMean } from "../util/suggest.ts";
import { gptPretrain } from "./gpt_pretrain.ts";

export const JOBS: ReadonlyMap<string, Job> = new Map([[gptPretrain.name, gptPretrain]]);

export const DEFAULT_JOB = gptPretrain.name;

export function jobNamed(name: string): Job {
  const job = JOBS.get(name);
  if (job !== undefined) return job;
  const names = [...JOBS.keys()];
  throw new ConfigError(`no job is named "${name}".${didYouMean(name, names)}`, {
    hint: `jobs: ${names.join(", ")}`,
  });
}
