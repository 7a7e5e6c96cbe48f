/** @file Settings of the data as a configuration would hold them. */
import type { DataOptions } from "../../src/data/dataset.ts";
import { dataFields } from "../../src/data/fields.ts";

const defaults = Object.fromEntries(
  Object.entries(dataFields).map(([name, field]) => [name, field.default]),
) as unknown as DataOptions;

export const dataOptions = (some: Partial<DataOptions>): DataOptions => ({ ...defaults, ...some });
