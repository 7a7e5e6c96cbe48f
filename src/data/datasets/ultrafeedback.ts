/** @file ultrafeedback: two answers to each prompt, the better one chosen. */
import type { DatasetDefinition } from "./dataset.ts";

export const ultrafeedback: DatasetDefinition = {
  name: "ultrafeedback",
  doc: "60 thousand prompts with a chosen and a rejected answer, judged by a language model (MIT)",
  hub: "HuggingFaceH4/ultrafeedback_binarized",
  split: "train_prefs",
  kind: "pairs",
};
