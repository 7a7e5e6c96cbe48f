/** @file The families that config.json may name. */
import { UserError } from "../util/errors.ts";
import { didYouMean } from "../util/suggest.ts";
import type { ConfigJson } from "./exchange/config_json.ts";
import type { BuildOptions, HuggingFaceModel } from "./exchange/hugging_face.ts";
import { Gpt2 } from "./gpt2/gpt2.ts";
import { Llama } from "./llama/llama.ts";
import { Neox } from "./neox/neox.ts";
import { Qwen } from "./qwen/qwen.ts";

const FAMILIES = [Gpt2, Llama, Qwen, Neox];

/** The model that a config.json describes. Throws where its architecture or one of its settings is not built here. */
export function modelOf(json: ConfigJson, options: BuildOptions = {}): HuggingFaceModel {
  const { model_type: type } = json.values;
  const family = FAMILIES.find(({ modelTypes }) => modelTypes.some((known) => known === type));
  if (family !== undefined) return new family(json, options);
  const known = FAMILIES.flatMap(({ modelTypes }) => modelTypes);
  const guess = typeof type === "string" ? didYouMean(type, known) : "";
  throw new UserError(
    `${json.path}: expected model_type ${known.join(", ")}, got ${JSON.stringify(type)}.${guess}`,
    { code: "config", place: { path: json.path, key: "model_type" } },
  );
}
