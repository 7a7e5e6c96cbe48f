/**
 * @file What data a run was trained on (data.json in its directory): going on with ids of another tokenizer is refused, and other
 * content under the same name is shown like any setting that changes the course of a run.
 */
import { join } from "node:path";
import type { Config } from "../config/config.ts";
import type { DataRecord, Dataset } from "../data/dataset.ts";
import { dataFields } from "../data/fields.ts";
import { writeAtomically } from "../util/atomic_file.ts";
import { UserError } from "../util/errors.ts";
import { readJson } from "./status_files.ts";

const DATA_FILE = "data.json";

/** What the data decides for a configuration that leaves it open. */
export function withDataset(config: Config, { documentMask, tokenizer }: Dataset): Config {
  return config.with(
    new Map<(typeof dataFields)["documentMask"] | (typeof dataFields)["tokenizer"], unknown>([
      [dataFields.documentMask, documentMask],
      [dataFields.tokenizer, tokenizer.name],
    ]),
  );
}

/** Throws `conflict` when the run in this directory was trained on something else. */
export function checkData(directory: string, now: DataRecord, allowChange: boolean): void {
  const before = readJson<DataRecord>(join(directory, DATA_FILE));
  if (before === null) return;
  if (before.tokenizer !== now.tokenizer)
    throw new UserError(
      `this run was trained on tokens of another tokenizer: its fingerprint was ` +
        `${before.tokenizer.slice(0, 12)}, that of the data is ${now.tokenizer.slice(0, 12)}`,
      { code: "conflict", hint: "choose another name, or --fresh to move the old run aside" },
    );
  if (before.content !== now.content && !allowChange)
    throw new UserError("the content of the data is no longer what this run was trained on", {
      code: "conflict",
      hint: "--allow-change goes on with it: samples then come in another order",
    });
}

export const writeData = (directory: string, record: DataRecord): void =>
  writeAtomically(join(directory, DATA_FILE), `${JSON.stringify(record, null, 2)}\n`);
