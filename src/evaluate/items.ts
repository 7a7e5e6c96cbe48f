/** @file The items of a task's split: from files that the task names, or from a data set of the hub through its cache. */
import { hubDataset } from "../data/hub/dataset_files.ts";
import { expandEntry, sourceFile } from "../data/sources/expand.ts";
import { PieceReader } from "../data/sources/read_piece.ts";
import type { SourceFile } from "../data/sources/source_file.ts";
import type { Fields } from "../data/text_template.ts";
import { ConfigError, DataError } from "../util/errors.ts";
import { didYouMean } from "../util/suggest.ts";
import type { EvaluationTask, TaskSource } from "./task.ts";

/** Names that Python's `datasets` gives to loaders of files. */
export const FILE_LOADERS = new Set(["json", "parquet"]);
const RECORD_BYTES_MAX = 64 * 2 ** 20;

async function filesOf(source: TaskSource, split: string, task: string): Promise<SourceFile[]> {
  if (FILE_LOADERS.has(source.path)) {
    const files = source.files[split];
    if (files !== undefined) return files.flatMap((path) => expandEntry(path));
    const known = Object.keys(source.files);
    throw new ConfigError(
      `task ${task}: dataset_kwargs.data_files has no split "${split}".${didYouMean(split, known)}`,
    );
  }
  const config = source.config === null ? {} : { config: source.config };
  const files = await hubDataset({ repo: source.path, split, ...config });
  return files.map(({ path, name }) => sourceFile(path, name));
}

/** All items of the split, in order. Throws DataError with file and line for a line that is none. */
export async function readItems(task: EvaluationTask, split: string): Promise<Fields[]> {
  const files = await filesOf(task.source, split, task.name);
  const reader = new PieceReader(files, {
    ...{ textField: "text", txtDocuments: "line", maxRecordBytes: RECORD_BYTES_MAX, columns: null },
  });
  const items: Fields[] = [];
  try {
    for (const file of files.keys()) {
      const piece = { file, kind: "whole" } as const;
      for await (const batch of reader.batches(piece, null))
        for (const [index, item] of batch.items.entries()) {
          if ("value" in item) items.push(item.value);
          else
            throw new DataError(`task ${task.name}: ${item.bad}`, {
              place: await reader.placeOf(piece, batch.position(index)),
            });
        }
    }
  } finally {
    await reader.close();
  }
  return items;
}
