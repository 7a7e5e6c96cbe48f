/** @file alpaca: instructions with inputs and answers. */
import type { DatasetDefinition } from "./dataset.ts";

export const alpaca: DatasetDefinition = {
  name: "alpaca",
  doc: "52 thousand instructions with answers, made by a language model (CC-BY-NC-4.0)",
  hub: "tatsu-lab/alpaca",
  kind: "rows",
  format: "alpaca",
};
