/** @file openwebtext: the open remake of what GPT-2 was trained on. */
import type { DatasetDefinition } from "./dataset.ts";

export const openwebtext: DatasetDefinition = {
  name: "openwebtext",
  doc: "eight million pages that were linked on Reddit, about 40 GB: a remake of the training data of GPT-2 (CC0)",
  hub: "Skylion007/openwebtext",
  kind: "text",
  textField: "text",
};
