/** @file All datasets by name: those of the program, and what users' code adds. */
import { ConfigError } from "../../util/errors.ts";
import { Registry } from "../../util/registry.ts";
import { alpaca } from "./alpaca.ts";
import type { DatasetDefinition } from "./dataset.ts";
import { fineweb } from "./fineweb.ts";
import { finewebEdu } from "./fineweb_edu.ts";
import { openwebtext } from "./openwebtext.ts";
import { tinystories } from "./tinystories.ts";
import { ultrachat } from "./ultrachat.ts";
import { ultrafeedback } from "./ultrafeedback.ts";

export const DATASETS = new Registry<DatasetDefinition>("dataset", [
  ...[fineweb, finewebEdu, tinystories, openwebtext, alpaca, ultrachat, ultrafeedback],
]);

/** Registers a dataset: `source.dataset` of a configuration may then name it. */
export function dataset(definition: DatasetDefinition): DatasetDefinition {
  const { name, hub, files } = definition;
  if ((hub === undefined) === (files === undefined))
    throw new ConfigError(`the dataset ${name} expects either hub or files`);
  DATASETS.register(definition);
  return definition;
}
