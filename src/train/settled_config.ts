/** @file The configuration of a run with all that its job reads elsewhere; a run that goes on keeps what it read when it began. */
import type { Config } from "../config/config.ts";
import { readConfigTexts } from "../config/reread.ts";
import type { Job } from "./job.ts";
import { type RunPlace, runPath } from "./run_directory.ts";

export async function settledConfig(
  job: Job,
  config: Config,
  place: RunPlace,
  fresh: boolean,
): Promise<Config> {
  if (job.resolve === undefined) return config;
  const before = fresh ? null : readConfigTexts(runPath(place), job.schema);
  return job.resolve(config, place.root, before);
}
