/**
 * @file A run directory or a Hugging Face folder whose weights are there: its job, configuration, model and tokenizer, ready for an
 * engine.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../config/config.ts";
import type { LanguageModel } from "../nn/language_model.ts";
import { type Device, openDevice } from "../runtime/index.ts";
import { ADAPTER_JSON } from "../train/adapter_folder.ts";
import { WEIGHTS_FILE } from "../train/checkpoint/weight_files.ts";
import { trainingFields } from "../train/fields.ts";
import type { Job } from "../train/job.ts";
import { newestWeights } from "../train/weights.ts";
import { UserError } from "../util/errors.ts";
import { loadTraining } from "./load_job.ts";
import { CONFIG_JSON } from "./model_place.ts";
import { openedFolder } from "./opened_folder.ts";

const RESOLVED = "config.resolved.yaml";

export interface RunSource {
  readonly runDirectory: string;
  /** Other weights than those of the finished run. */
  readonly weights?: string;
  readonly threads?: number;
  /** Where the configuration stands when it is not the run's own. */
  readonly configPath?: string;
}

export interface TrainedRun {
  readonly job: Job;
  readonly config: Config;
  readonly model: LanguageModel;
  readonly weights: string;
}

export function trainedRun(source: RunSource): TrainedRun {
  const { runDirectory } = source;
  const plain = source.configPath === undefined && !existsSync(join(runDirectory, RESOLVED));
  if (plain && [CONFIG_JSON, ADAPTER_JSON].some((name) => existsSync(join(runDirectory, name))))
    return openedFolder(runDirectory);
  const configPath = source.configPath ?? join(runDirectory, RESOLVED);
  // A run that was killed has checkpoints, but nothing was published yet.
  const weights = source.weights ?? newestWeights(runDirectory) ?? join(runDirectory, WEIGHTS_FILE);
  for (const path of [configPath, weights])
    if (!existsSync(path))
      throw new UserError(`${runDirectory} is no finished run: ${path} does not exist`, {
        code: "not_found",
      });
  const { job, config } = loadTraining({
    name: configPath,
    text: readFileSync(configPath, "utf8"),
  });
  return { job, config, model: job.model(config), weights };
}

/** With as many threads as the run itself, unless the caller says otherwise. */
export async function withDevice<T>(
  config: Config,
  threads: number | undefined,
  use: (device: Device) => Promise<T>,
): Promise<T> {
  const count = threads ?? config.get(trainingFields.threads);
  const device = openDevice(count === null ? {} : { threads: count });
  try {
    return await use(device);
  } finally {
    device.close();
  }
}
