/** @file A parquet file: its row groups, and the pages of one flat column after another without holding a row group. */
import { closeSync, openSync, readSync } from "node:fs";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { type ColumnMetaData, type Compressors, parquetMetadata, parquetSchema } from "hyparquet";
import { parquetHeader, readPage } from "hyparquet/src/column.js";
import { DEFAULT_PARSERS } from "hyparquet/src/convert.js";
import { getTreePath, isFlatColumn } from "hyparquet/src/schema.js";
import { compressors as portable } from "hyparquet-compressors";
import { assert, DataError } from "../../util/errors.ts";

const FOOTER_BYTES = 8;
const HEADER_BYTES = 2 ** 16;

/** Bun's own where it has one; the portable ones for the rest. */
export const compressors: Compressors = {
  ...portable,
  ZSTD: (input) => Bun.zstdDecompressSync(input),
  GZIP: (input) => gunzipSync(input),
  BROTLI: (input) => brotliDecompressSync(input),
};

export type Values = ArrayLike<unknown>;

/** Texts stay bytes: whoever encodes them wants bytes. */
const TEXT_AS_BYTES = { ...DEFAULT_PARSERS, stringFromBytes: (bytes: Uint8Array) => bytes };

export class ParquetFile {
  readonly path: string;
  readonly bytes: number;
  readonly metadata: ReturnType<typeof parquetMetadata>;
  private readonly fd: number;
  private readonly schema: ReturnType<typeof parquetSchema>;

  constructor(path: string, bytes: number) {
    this.path = path;
    this.bytes = bytes;
    this.fd = openSync(path, "r");
    try {
      this.metadata = this.footer();
      this.schema = parquetSchema(this.metadata);
    } catch (error) {
      closeSync(this.fd);
      throw error;
    }
  }

  close(): void {
    closeSync(this.fd);
  }

  damaged(what: string): DataError {
    return new DataError(what, {
      hint: "fetch or make the file again",
      place: { path: this.path },
    });
  }

  read(start: number, end: number): ArrayBuffer {
    const buffer = new ArrayBuffer(Math.max(0, Math.min(end, this.bytes) - start));
    const view = new Uint8Array(buffer);
    for (let done = 0; done < view.length; ) {
      const n = readSync(this.fd, view, done, view.length - done, start + done);
      if (n === 0) throw this.damaged(`ends early: byte ${start + done} is missing`);
      done += n;
    }
    return buffer;
  }

  /** For hyparquet's own reader. */
  get buffer() {
    return {
      byteLength: this.bytes,
      slice: (start: number, end = this.bytes): ArrayBuffer => this.read(start, end),
    };
  }

  private footer() {
    const tail =
      this.bytes < FOOTER_BYTES + 4 ? null : this.read(this.bytes - FOOTER_BYTES, this.bytes);
    const mark = tail === null ? "" : String.fromCharCode(...new Uint8Array(tail, 4));
    if (tail === null || mark !== "PAR1")
      throw this.damaged(
        "expected a parquet file, which ends with PAR1; it was cut off or is something else",
      );
    const length = new DataView(tail).getUint32(0, true);
    if (length + FOOTER_BYTES > this.bytes)
      throw this.damaged(`its footer claims ${length} bytes, the file has ${this.bytes}`);
    try {
      return parquetMetadata(this.read(this.bytes - FOOTER_BYTES - length, this.bytes));
    } catch (error) {
      throw this.damaged(`its footer cannot be read: ${String((error as Error).message)}`);
    }
  }

  get columns(): string[] {
    return this.schema.children.map(({ element }) => element.name);
  }

  get groups() {
    return this.metadata.row_groups;
  }

  /** Whether every one of these top-level columns holds plain values, no lists or groups. */
  allFlat(columns: readonly string[]): boolean {
    return columns.every((name) => {
      const child = this.schema.children.find(({ element }) => element.name === name);
      return (
        child !== undefined && child.children.length === 0 && isFlatColumn([this.schema, child])
      );
    });
  }

  /** Uncompressed bytes of these columns in a row group. */
  groupBytes(group: number, columns: readonly string[]): number {
    let bytes = 0;
    for (const { meta_data: meta } of this.groups[group]?.columns ?? [])
      if (meta !== undefined && columns.includes(meta.path_in_schema[0] ?? ""))
        bytes += Number(meta.total_uncompressed_size);
    return bytes;
  }

  /** Values of a flat column of a row group, a page at a time. */
  *pages(group: number, column: string): Generator<Values> {
    const meta = this.groups[group]?.columns.find(
      ({ meta_data }) => meta_data?.path_in_schema[0] === column,
    )?.meta_data;
    assert(meta !== undefined, `column ${column} is in row group ${group}`);
    const rows = Number(this.groups[group]?.num_rows ?? 0);
    try {
      yield* this.pagesOf(meta, rows);
    } catch (error) {
      if (error instanceof DataError) throw error;
      throw this.damaged(
        `row group ${group + 1}, column ${column}: ${String((error as Error).message)}`,
      );
    }
  }

  private *pagesOf(meta: ColumnMetaData, rows: number): Generator<Values> {
    const schemaPath = getTreePath(this.schema, meta.path_in_schema);
    const element = schemaPath.at(-1)?.element;
    assert(element !== undefined, "a column has a schema element");
    const { path_in_schema: pathInSchema, type, codec } = meta;
    const decoder = {
      pathInSchema,
      type,
      element,
      schemaPath,
      codec,
      parsers: TEXT_AS_BYTES,
      compressors,
    };
    const first = Number(meta.data_page_offset);
    let at = meta.dictionary_page_offset
      ? Math.min(first, Number(meta.dictionary_page_offset))
      : first;
    const end = at + Number(meta.total_compressed_size);
    let dictionary: Parameters<typeof readPage>[3];
    for (let done = 0; done < rows; ) {
      if (at >= end) throw this.damaged(`a column ends after ${done} of ${rows} rows`);
      const head = {
        view: new DataView(this.read(at, Math.min(end, at + HEADER_BYTES))),
        offset: 0,
      };
      const header = parquetHeader(head);
      const start = at + head.offset;
      at = start + header.compressed_page_size;
      const page = { view: new DataView(this.read(start, at)), offset: 0 };
      const { data } = readPage(page, header, decoder, dictionary, undefined, 0);
      if (header.type === "DICTIONARY_PAGE") {
        dictionary = data;
        continue;
      }
      if (data === undefined) continue;
      done += data.length;
      yield data;
    }
  }
}
