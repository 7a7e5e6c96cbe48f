/**
 * @file Training on from a model that is there: the family's trainings llama/finetune, qwen/finetune ... What the model is, its
 * own config.json says; the text of it becomes part of the run's configuration, so that a run does not depend on another folder.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../config/config.ts";
import { field } from "../config/field.ts";
import { float, int, list, nullable, string } from "../config/schema.ts";
import { dataFields } from "../data/fields.ts";
import { CONFIG_JSON, ConfigJson } from "../models/exchange/config_json.ts";
import type { HuggingFaceModel } from "../models/exchange/hugging_face.ts";
import { modelOf } from "../models/families.ts";
import { Gpt2 } from "../models/gpt2/gpt2.ts";
import { Llama } from "../models/llama/llama.ts";
import { Neox } from "../models/neox/neox.ts";
import { Qwen } from "../models/qwen/qwen.ts";
import { ConfigError, UserError } from "../util/errors.ts";
import { defineJob } from "./define_job.ts";

export const modelFields = {
  from: field(
    "model/from",
    nullable(string()),
    null,
    "what to begin with: a Hugging Face folder, hf:org/name, or a run of the same family; its tokenizer too",
  ),
  config: field(
    "model/config",
    nullable(string()),
    null,
    "config.json of the model, as text; null: as model.from has it when the run begins",
  ),
  blockSize: field(
    "architecture/block_size",
    nullable(int({ min: 1 })),
    null,
    "length of a row in tokens; null: as many as the model was made for, 512 at most",
  ),
};

export const loraFields = {
  rank: field(
    "lora/rank",
    nullable(int({ min: 1 })),
    null,
    "rank of adapters, which are trained instead of the model; null: the whole model is trained",
  ),
  alpha: field("lora/alpha", float({ above: 0 }), 16, "adapters are scaled by alpha / rank"),
  dropout: field(
    "lora/dropout",
    float({ min: 0, below: 1 }),
    0,
    "share of an adapter's input that training zeroes",
  ),
  targets: field(
    "lora/targets",
    nullable(list(string())),
    null,
    "names of the layers that get adapters, or ends of names like q_proj; null: all linear layers",
  ),
};

const USUAL_LENGTH = 512;

function configText(config: Config): string {
  const { from, config: text } = config.values(modelFields);
  if (text !== null) return text;
  if (from === null)
    throw new ConfigError("expected a model to begin with", {
      hint: "model.from is a Hugging Face folder, hf:org/name, or a run",
      place: { key: "model.from" },
    });
  const path = join(from, CONFIG_JSON);
  if (existsSync(path)) return readFileSync(path, "utf8");
  throw new UserError(`there is no ${path}`, {
    code: "not_found",
    hint: "what runs and the hub hold is read when the run begins, by theseus run",
    place: { key: "model.from" },
  });
}

function finetunedModel(config: Config, modelTypes: readonly string[]): HuggingFaceModel {
  const { from, blockSize } = config.values(modelFields);
  const place = from === null ? "model.config" : `config.json of ${from}`;
  const json = ConfigJson.parse(configText(config), place);
  const type = json.values.model_type;
  if (!modelTypes.some((known) => known === type))
    throw new ConfigError(
      `${place}: expected model_type ${modelTypes.join(" or ")}, got ${JSON.stringify(type)}`,
      { hint: "each family has a finetune job of its own", place: { key: "model.from" } },
    );
  const longest = modelOf(json).blockSize;
  const model = modelOf(json, { blockSize: blockSize ?? Math.min(longest, USUAL_LENGTH) });
  const { rank, ...adapters } = config.values(loraFields);
  if (rank !== null) model.adapt({ rank, ...adapters, base: from ?? "" });
  return model;
}

/** The weights that the run begins with: a file or a folder. */
async function beginning(config: Config, root: string): Promise<string> {
  const { from } = config.values(modelFields);
  if (from === null) configText(config);
  const { modelFiles } = await import("./model_place.ts");
  const { weights, runDirectory } = await modelFiles(from ?? "", root);
  if (weights !== undefined) return weights;
  throw new UserError(`${runDirectory} has no checkpoint yet`, { code: "not_found" });
}

const folderOf = (weights: string): string =>
  weights.endsWith(".safetensors") ? join(weights, "..") : weights;

type SettledField = (typeof modelFields)["config"] | (typeof dataFields)["tokenizer"];

/** The configuration with the text of config.json in it, and the model's own tokenizer where none is named. */
async function resolved(config: Config, root: string, before: Config | null): Promise<Config> {
  const { from, config: text } = config.values(modelFields);
  if (text !== null || from === null) return config;
  const was = before?.values(modelFields);
  if (before !== null && was?.from === from && was.config !== null) {
    const same = new Map<SettledField, string>([[modelFields.config, was.config]]);
    if (config.get(dataFields.tokenizer) === "bytes")
      same.set(dataFields.tokenizer, before.get(dataFields.tokenizer));
    return config.with(same);
  }
  const folder = folderOf(await beginning(config, root));
  const path = join(folder, CONFIG_JSON);
  if (!existsSync(path))
    throw new UserError(`${from} is no model of a family that Hugging Face knows: no ${path}`, {
      code: "not_found",
      place: { key: "model.from" },
    });
  const changes = new Map<
    (typeof modelFields)["config"] | (typeof dataFields)["tokenizer"],
    string
  >([[modelFields.config, readFileSync(path, "utf8")]]);
  const own =
    config.get(dataFields.tokenizer) === "bytes" && existsSync(join(folder, "tokenizer.json"));
  if (own) changes.set(dataFields.tokenizer, from.startsWith("hf:") ? from : folder);
  return config.with(changes);
}

/** Weights that are good already take a fiftieth of the rate of fresh ones; adapters, usually ten times this. */
const DEFAULTS = { "training/learning_rate": 2e-5 };

const finetune = <const N extends string>(name: N, doc: string, modelTypes: readonly string[]) =>
  defineJob({
    name,
    doc,
    uses: [{ config: modelFields }, { config: loraFields }],
    defaults: DEFAULTS,
    model: (config) => finetunedModel(config, modelTypes),
    resolve: resolved,
    beginning,
  });

export const gpt2Finetune = finetune("gpt2/finetune", "train a GPT-2 on", Gpt2.modelTypes);
export const llamaFinetune = finetune("llama/finetune", "train a Llama on", Llama.modelTypes);
export const qwenFinetune = finetune("qwen/finetune", "train a Qwen 2 or 3 on", Qwen.modelTypes);
export const neoxFinetune = finetune("neox/finetune", "train a GPT-NeoX on", Neox.modelTypes);

export const FINETUNES = [gpt2Finetune, llamaFinetune, qwenFinetune, neoxFinetune] as const;
