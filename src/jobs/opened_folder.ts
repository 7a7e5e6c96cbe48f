/** @file A Hugging Face folder as if a run of its family's finetuning had just begun with it: one way to use all models. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { loadConfig } from "../config/load.ts";
import { ConfigJson } from "../models/exchange/config_json.ts";
import { modelOf } from "../models/families.ts";
import { FINETUNES } from "./finetune.ts";
import { CONFIG_JSON } from "./model_place.ts";
import type { TrainedRun } from "./trained_run.ts";

/** `folder` holds config.json. Its rows are as long as the model was made for. */
export function openedFolder(folder: string): TrainedRun {
  const path = join(folder, CONFIG_JSON);
  const text = readFileSync(path, "utf8");
  const model = modelOf(ConfigJson.parse(text, path));
  const family = `${model.family}/finetune`;
  const job = FINETUNES.find(({ name }) => name === family) ?? FINETUNES[0];
  const own = existsSync(join(folder, "tokenizer.json"));
  const config = loadConfig({
    schema: job.schema,
    values: {
      model: { from: folder, config: text },
      architecture: { block_size: model.blockSize },
      ...(own ? { data: { tokenizer: folder } } : {}),
    },
  });
  return { job, config, model, weights: folder };
}
