/** @file Records of a parquet file: flat columns page by page; columns that hold lists or groups a row group at a time. */
import { parquetReadObjects } from "hyparquet";
import { ConfigError, DataError } from "../../util/errors.ts";
import { compressors, ParquetFile, type Values } from "./parquet_file.ts";
import type { Batch, Item, ReadOptions, SourceFile } from "./source_file.ts";

const BATCH_BYTES = 2 ** 20;
const MOST_GROUP_BYTES = 256 * 2 ** 20;

type Row = Record<string, unknown>;

/** Values of one column of a row group, one after another. */
class Column {
  readonly name: string;
  private readonly pages: Generator<Values>;
  private page: Values = [];
  private at = 0;

  constructor(file: ParquetFile, group: number, name: string) {
    this.name = name;
    this.pages = file.pages(group, name);
  }

  next(): unknown {
    while (this.at >= this.page.length) {
      const { value, done } = this.pages.next();
      if (done === true) return undefined;
      this.page = value;
      this.at = 0;
    }
    return this.page[this.at++];
  }
}

/** 64-bit integers become numbers: that is what JSON has. */
const plain = (value: unknown): unknown => (typeof value === "bigint" ? Number(value) : value);

const sizeOf = (value: unknown): number =>
  value instanceof Uint8Array || typeof value === "string" ? value.length : 8;

function itemOf(row: Row, bytes: number, options: ReadOptions): Item {
  if (bytes <= options.maxRecordBytes) return { value: row };
  const mib = (bytes / 2 ** 20).toFixed(1);
  const most = options.maxRecordBytes / 2 ** 20;
  return { bad: `a row of ${mib} MiB: expected at most ${most} (source.max_record_mb)` };
}

function* flatBatches(
  file: ParquetFile,
  group: number,
  firstRow: number,
  from: number,
  columns: readonly string[],
  options: ReadOptions,
): Generator<Batch> {
  const rows = Number(file.groups[group]?.num_rows ?? 0);
  const readers = columns.map((name) => new Column(file, group, name));
  let items: Item[] = [];
  let held = 0;
  for (let index = 0; index < rows; index++) {
    const row: Row = {};
    let bytes = 0;
    for (const reader of readers) {
      const value = plain(reader.next());
      bytes += sizeOf(value);
      if (value !== undefined && value !== null) row[reader.name] = value;
    }
    if (firstRow + index < from) continue;
    items.push(itemOf(row, bytes, options));
    held += bytes;
    if (held < BATCH_BYTES && index + 1 < rows) continue;
    const next = firstRow + index + 1;
    const start = next - items.length;
    yield { items, next, bytes: held, position: (i) => start + i };
    [items, held] = [[], 0];
  }
}

function withPlain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withPlain);
  if (typeof value !== "object" || value === null || value instanceof Date) return plain(value);
  if (value instanceof Uint8Array) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withPlain(each)]));
}

async function* nestedBatches(
  file: ParquetFile,
  group: number,
  firstRow: number,
  from: number,
  columns: readonly string[],
  options: ReadOptions,
): AsyncGenerator<Batch> {
  const size = file.groupBytes(group, columns);
  if (size > MOST_GROUP_BYTES)
    throw file.damaged(
      `row group ${group + 1} has ${(size / 2 ** 20).toFixed(0)} MiB in columns that hold lists: ` +
        `expected at most ${MOST_GROUP_BYTES / 2 ** 20}; write it with smaller row groups`,
    );
  const rowStart = Math.max(firstRow, from);
  const rowEnd = firstRow + Number(file.groups[group]?.num_rows ?? 0);
  if (rowStart >= rowEnd) return;
  let rows: Row[];
  try {
    const { metadata, buffer } = file;
    const wanted = { columns: [...columns], rowStart, rowEnd, compressors };
    rows = await parquetReadObjects({ file: buffer, metadata, ...wanted });
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw file.damaged(`row group ${group + 1}: ${String((error as Error).message)}`);
  }
  const each = size / Math.max(1, rowEnd - firstRow);
  const step = Math.max(1, Math.floor(BATCH_BYTES / Math.max(1, each)));
  for (let at = 0; at < rows.length; at += step) {
    const part = rows.slice(at, at + step);
    const items = part.map((row) => itemOf(withPlain(row) as Row, each, options));
    const start = rowStart + at;
    const next = start + part.length;
    yield { items, next, bytes: Math.round(each * part.length), position: (i) => start + i };
  }
}

export function checkColumns(
  file: ParquetFile,
  wanted: readonly string[] | null,
): readonly string[] {
  if (wanted === null) return file.columns;
  const missing = wanted.filter((name) => !file.columns.includes(name));
  if (missing.length > 0)
    throw new ConfigError(
      `${file.path} has no column ${missing.join(", ")}; it has ${file.columns.join(", ")}`,
      {
        hint: "name the column that holds the text in source.text_field",
        place: { path: file.path },
      },
    );
  return wanted;
}

/** Rows of the row groups first to last - 1, from row `from` of the file on. */
export async function* parquetBatches(
  source: SourceFile,
  options: ReadOptions,
  first: number,
  last: number,
  from: number,
): AsyncGenerator<Batch> {
  const file = new ParquetFile(source.path, source.bytes);
  try {
    const columns = checkColumns(file, options.columns);
    const flat = file.allFlat(columns);
    let row = 0;
    for (const [group, { num_rows }] of file.groups.entries()) {
      const end = row + Number(num_rows);
      if (group >= first && group < last && end > from) {
        const read = flat ? flatBatches : nestedBatches;
        yield* read(file, group, row, from, columns, options);
      }
      row = end;
    }
  } finally {
    file.close();
  }
}
