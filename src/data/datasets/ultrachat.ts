/** @file ultrachat: conversations of several turns. */
import type { DatasetDefinition } from "./dataset.ts";

export const ultrachat: DatasetDefinition = {
  name: "ultrachat",
  doc: "200 thousand conversations of several turns, made by language models and filtered (MIT)",
  hub: "HuggingFaceH4/ultrachat_200k",
  split: "train_sft",
  kind: "rows",
  format: "openai",
};
