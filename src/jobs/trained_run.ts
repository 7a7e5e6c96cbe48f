/**
 * @file A run directory or a Hugging Face folder whose weights are there: its job, configuration, model and tokenizer, ready for an
 * engine.
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Config } from "../config/config.ts";
import { dataFields } from "../data/fields.ts";
import { ENCODING_NAMES } from "../data/tokenizers/openai.ts";
import { CONFIG_JSON } from "../models/exchange/config_json.ts";
import type { LanguageModel } from "../nn/language_model.ts";
import { ADAPTER_JSON } from "../train/adapter_folder.ts";
import { WEIGHTS_FILE } from "../train/checkpoint/weight_files.ts";
import type { Job } from "../train/job.ts";
import { newestWeights } from "../train/weights.ts";
import { UserError } from "../util/errors.ts";
import { loadTraining } from "./load_job.ts";
import type { DeviceWish } from "./model_device.ts";
import { openedFolder } from "./opened_folder.ts";

const CONFIG_YAML = "config.yaml";
const RESOLVED = "config.resolved.yaml";

export interface RunSource extends DeviceWish {
  readonly runDirectory: string;
  /** Other weights than those of the finished run. */
  readonly weights?: string;
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
  const own = withOwnTokenizer(config, weights);
  return { job, config: own, model: job.model(own), weights };
}

/** The tokenizer beside the weights, with the chat template they were trained on: the one they came from may be gone since. */
function withOwnTokenizer(config: Config, weights: string): Config {
  const folder = existsSync(join(weights, CONFIG_YAML)) ? weights : dirname(weights);
  const has = (name: string): boolean => existsSync(join(folder, name));
  const name = config.get(dataFields.tokenizer);
  // The encodings that the program carries open faster than their files.
  const carried = ENCODING_NAMES.includes(name) && !has("chat_template.jinja");
  if (carried || !has("tokenizer.json")) return config;
  return config.with(new Map([[dataFields.tokenizer, folder]]));
}
