/**
 * @file The small files that make a folder of weights a Hugging Face model: config.json, generation_config.json and the tokenizer's. A
 * model of no known family has none but the tokenizer's.
 */
import type { Dataset } from "../data/dataset.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { HuggingFaceModel } from "../models/exchange/hugging_face.ts";
import type { LanguageModel } from "../nn/language_model.ts";
import { ADAPTER_JSON, adapterJson } from "./adapter_folder.ts";
import { isAdapted } from "./weights.ts";

/** As Hugging Face's own writer lays JSON out. */
export const jsonText = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** Ids of special tokens that are known, under config.json's names. */
function specialIds({ special }: Tokenizer): Record<string, number> {
  const ids = {
    bos_token_id: special.bos,
    eos_token_id: special.eos,
    pad_token_id: special.pad,
  };
  return Object.fromEntries(
    Object.entries(ids).flatMap(([key, id]) => (id === undefined ? [] : [[key, id]])),
  );
}

/** By name, for weights in f32; `base`: where the weights are that adapters belong to. */
export function modelTexts(
  model: LanguageModel,
  { tokenizer, chatTemplate }: Pick<Dataset, "tokenizer" | "chatTemplate">,
  base: string | undefined,
): Record<string, string> {
  const files: Record<string, string> = { ...tokenizer.files() };
  if (chatTemplate !== null) files["chat_template.jinja"] = chatTemplate;
  if (isAdapted(model) && base !== undefined)
    return { [ADAPTER_JSON]: jsonText(adapterJson(model, base)), ...files };
  if (!(model instanceof HuggingFaceModel)) return files;
  const known = specialIds(tokenizer);
  const { configJson } = model;
  // The model's own configuration may name several ends, which the tokenizer does not know of. Null is a statement too: a family
  // whose default is another id must not fall back to it.
  const none = { bos_token_id: null, eos_token_id: null, pad_token_id: null };
  const ids = { ...none, ...known, ...ownIds(configJson) };
  const config = { ...configJson, ...ids, torch_dtype: "float32", use_cache: true };
  return {
    "config.json": jsonText(config),
    "generation_config.json": jsonText({ _from_model_config: true, ...ids }),
    ...files,
  };
}

function ownIds(configJson: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const keys = ["bos_token_id", "eos_token_id", "pad_token_id"];
  const set = keys.filter((key) => configJson[key] !== undefined && configJson[key] !== null);
  return Object.fromEntries(set.map((key) => [key, configJson[key]]));
}
