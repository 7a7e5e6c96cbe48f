/** @file A Hugging Face folder as if a run of its family's finetuning had just begun with it: one way to use all models. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { loadConfig } from "../config/load.ts";
import { CONFIG_JSON, ConfigJson } from "../models/exchange/config_json.ts";
import type { AdapterOptions } from "../models/exchange/hugging_face.ts";
import { modelOf } from "../models/families.ts";
import { adapterBase, isAdapterFolder, readAdapterJson } from "../train/adapter_folder.ts";
import { FINETUNES } from "./finetune.ts";
import type { TrainedRun } from "./trained_run.ts";

const loraValues = ({ rank, alpha, targets }: AdapterOptions) => ({ rank, alpha, targets });

/** `folder` holds config.json, or adapters of a model that does. Its rows are as long as the model was made for. */
export function openedFolder(folder: string): TrainedRun {
  const adapters = isAdapterFolder(folder) ? readAdapterJson(folder) : null;
  const base = adapters === null ? folder : adapterBase(folder);
  const path = join(base, CONFIG_JSON);
  const text = readFileSync(path, "utf8");
  const model = modelOf(ConfigJson.parse(text, path));
  const family = `${model.family}/finetune`;
  const job = FINETUNES.find(({ name }) => name === family) ?? FINETUNES[0];
  const own = [folder, base].find((each) => existsSync(join(each, "tokenizer.json")));
  const config = loadConfig({
    schema: job.schema,
    values: {
      model: { from: base, config: text },
      architecture: { block_size: model.blockSize },
      ...(own === undefined ? {} : { data: { tokenizer: own } }),
      ...(adapters === null ? {} : { lora: loraValues(adapters) }),
    },
  });
  return { job, config, model: job.model(config), weights: folder };
}
