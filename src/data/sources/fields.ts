/** @file Configuration of where text and examples come from; the same for every job that reads them. */
import { field } from "../../config/field.ts";
import { enumOf, int, list, nullable, string } from "../../config/schema.ts";

export const sourceFields = {
  dataset: field(
    "source/dataset",
    nullable(string()),
    null,
    "a dataset by name (`theseus jobs` lists them); null: source.files",
  ),
  files: field(
    "source/files",
    list(string()),
    [],
    "files, folders and globs (.txt .jsonl .parquet, also .gz and .zst), or hf:org/name, in this order",
  ),
  config: field("source/config", nullable(string()), null, "configuration of a hub dataset"),
  split: field("source/split", nullable(string()), null, "split of a hub dataset; null: train"),
  revision: field("source/revision", nullable(string()), null, "branch, tag or commit on the hub"),
  maxFiles: field(
    "source/max_files",
    nullable(int({ min: 1 })),
    null,
    "only the first so many files",
  ),
  textField: field(
    "source/text_field",
    nullable(string()),
    null,
    "the field that holds the text; null: the dataset's own, else text",
  ),
  txtDocuments: field(
    "source/txt_documents",
    enumOf(["file", "line", "blank_line"]),
    "file",
    "what is a document of a .txt file: all of it, each line, or what blank lines separate",
  ),
  onBadLine: field(
    "source/on_bad_line",
    enumOf(["fail", "skip"]),
    "fail",
    "a line that is no JSON, lacks a field or is empty: ends the job, or is left out and counted",
  ),
  maxRecordMb: field(
    "source/max_record_mb",
    int({ min: 1, max: 512 }),
    32,
    "a longer line is a bad line; each worker needs several times as much memory",
  ),
};
