/** @file fineweb: English web text, cleaned and deduplicated. */
import type { DatasetDefinition } from "./dataset.ts";

export const fineweb: DatasetDefinition = {
  name: "fineweb",
  doc: "English web text, cleaned and deduplicated; the sample of 10 billion tokens unless source.config says otherwise (ODC-By)",
  hub: "HuggingFaceFW/fineweb",
  config: "sample-10BT",
  kind: "text",
  textField: "text",
};
