/** @file fineweb-edu: the educational part of fineweb. */
import type { DatasetDefinition } from "./dataset.ts";

export const finewebEdu: DatasetDefinition = {
  name: "fineweb-edu",
  doc: "web text that a classifier took for educational; the sample of 10 billion tokens unless source.config says otherwise (ODC-By)",
  hub: "HuggingFaceFW/fineweb-edu",
  config: "sample-10BT",
  kind: "text",
  textField: "text",
};
