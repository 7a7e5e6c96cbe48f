/**
 * @file A .json that holds one array of records, as many datasets of conversations do: it is told from lines by its first character, and read
 * record by record, so that no more than one of them and a block of the file is in memory.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { constants, gunzipSync, zstdDecompressSync } from "node:zlib";
import { DataError } from "../../util/errors.ts";
import { byteStream } from "./byte_stream.ts";
import type { FileFormat } from "./format.ts";
import { jsonRecord } from "./read_lines.ts";
import { BOM_BYTES, longText, startsWithBom } from "./read_text.ts";
import type { Batch, Item, ReadOptions, SourceFile } from "./source_file.ts";

/** More than a block of zstd, which gives nothing until it is whole. */
const HEAD_BYTES = 192 * 2 ** 10;
const [COMMA, OPEN, CLOSE, QUOTE, BACKSLASH] = [44, 91, 93, 34, 92] as const;
const [OPEN_OBJECT, CLOSE_OBJECT] = [123, 125] as const;

const isSpace = (byte: number | undefined): boolean =>
  byte === 32 || byte === 10 || byte === 13 || byte === 9;

function firstBytes(path: string, compression: FileFormat["compression"]): Uint8Array {
  const head = new Uint8Array(HEAD_BYTES);
  const fd = openSync(path, "r");
  let bytes = head;
  try {
    bytes = head.subarray(0, readSync(fd, head, 0, HEAD_BYTES, 0));
  } finally {
    closeSync(fd);
  }
  if (bytes.length === 0 || compression === "none") return bytes;
  try {
    return compression === "gzip"
      ? gunzipSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH })
      : zstdDecompressSync(bytes, { finishFlush: constants.ZSTD_e_flush });
  } catch {
    // What is wrong with it is told when it is read.
    return new Uint8Array(0);
  }
}

export function holdsArray(path: string, compression: FileFormat["compression"]): boolean {
  const bytes = firstBytes(path, compression);
  let at = startsWithBom(bytes) ? BOM_BYTES : 0;
  while (isSpace(bytes[at])) at++;
  return bytes[at] === OPEN;
}

interface Found {
  readonly item: Item;
  /** Where it starts in the file. */
  readonly start: number;
}

/** Bytes go in, records come out. */
class Splitter {
  /** Where the next byte stands in the file. */
  at: number;
  ended = false;
  private readonly file: SourceFile;
  private readonly options: ReadOptions;
  /** What is expected next; `inside`: more of a record. */
  private state: "array" | "record or end" | "record" | "inside" | "comma or end" | "anything";
  private last: number;
  private start = 0;
  private depth = 0;
  private quoted = false;
  private escaped = false;
  /** Of the record that is being read; what is too long is not held. */
  private held: Uint8Array[] = [];
  private length = 0;

  /** `from`: 0, or where a record starts, or ended. */
  constructor(file: SourceFile, options: ReadOptions, from: number) {
    this.file = file;
    this.options = options;
    this.at = from;
    this.last = from;
    this.state = from === 0 ? "array" : "anything";
  }

  take(block: Uint8Array): Found[] {
    const found: Found[] = [];
    const skip = this.at === 0 && startsWithBom(block) ? BOM_BYTES : 0;
    for (let i = skip; i < block.length; ) {
      if (this.state === "inside") {
        const end = this.recordEnd(block, i);
        this.hold(block.subarray(i, end ?? block.length));
        if (end !== null) {
          this.last = this.at + end;
          found.push(this.finished());
        }
        i = end ?? block.length;
      } else {
        if (!isSpace(block[i])) this.between(block[i] ?? 0, this.at + i);
        // A record's own first byte is read again as part of it.
        if ((this.state as string) !== "inside") i++;
      }
    }
    this.at += block.length;
    return found;
  }

  /** Where reading may go on: after the last record, so that the array's end is seen by whoever does. */
  get next(): number {
    return this.last;
  }

  /** Throws unless the array was closed. */
  finish(): void {
    if (!this.ended) throw this.broken("ends before its array does: it was cut off", this.at);
  }

  private between(byte: number, at: number): void {
    const { state } = this;
    if (this.ended) throw this.broken("goes on after its array", at);
    if (state === "array") {
      if (byte !== OPEN) throw this.broken("is no array", at);
      this.state = "record or end";
    } else if (byte === CLOSE && state !== "record") {
      this.ended = true;
    } else if (state === "comma or end" || (state === "anything" && byte === COMMA)) {
      if (byte !== COMMA) throw this.broken("has no comma between two records", at);
      this.state = "record";
    } else {
      if (byte === COMMA || byte === CLOSE) throw this.broken("lacks a record", at);
      this.state = "inside";
      [this.start, this.depth, this.quoted, this.escaped] = [at, 0, false, false];
    }
  }

  /** Where the record ends in the block; null: not in this one. */
  private recordEnd(block: Uint8Array, from: number): number | null {
    for (let i = from; i < block.length; i++) {
      const byte = block[i] ?? 0;
      if (this.quoted) {
        if (this.escaped) this.escaped = false;
        else if (byte === BACKSLASH) this.escaped = true;
        else if (byte === QUOTE) {
          this.quoted = false;
          if (this.depth === 0) return i + 1;
        }
      } else if (byte === QUOTE) this.quoted = true;
      else if (byte === OPEN || byte === OPEN_OBJECT) this.depth++;
      else if (this.depth === 0) {
        // A number or a word.
        if (byte === COMMA || byte === CLOSE || isSpace(byte)) return i;
      } else if (byte === CLOSE || byte === CLOSE_OBJECT) {
        this.depth--;
        if (this.depth === 0) return i + 1;
      }
    }
    return null;
  }

  private hold(bytes: Uint8Array): void {
    this.length += bytes.length;
    if (this.length > this.options.maxRecordBytes) this.held = [];
    else this.held.push(bytes);
  }

  private finished(): Found {
    const { start, length, options, held } = this;
    this.held = [];
    this.length = 0;
    this.state = "comma or end";
    const item =
      length > options.maxRecordBytes
        ? { bad: longText("record", length, options.maxRecordBytes) }
        : jsonRecord(Buffer.concat(held), options);
    return { item, start };
  }

  private broken(what: string, at: number): DataError {
    return new DataError(`the file ${what} (byte ${at})`, {
      hint: "expected one JSON array of records: [{...}, {...}]",
      place: { path: this.file.path },
    });
  }
}

/** From byte `from` on, which a batch gave. */
export async function* arrayBatches(
  file: SourceFile,
  options: ReadOptions,
  from: number,
): AsyncGenerator<Batch> {
  const splitter = new Splitter(file, options, from);
  let done = from;
  for await (const block of byteStream(file, from)) {
    const found = splitter.take(block);
    if (found.length === 0) continue;
    const { next } = splitter;
    const bytes = next - done;
    done = next;
    yield {
      items: found.map(({ item }) => item),
      ...{ next, bytes },
      position: (index) => found[index]?.start ?? next,
    };
  }
  splitter.finish();
}

/** Number (from 1) of the record that starts at a byte. */
export async function recordAt(
  file: SourceFile,
  options: ReadOptions,
  position: number,
): Promise<number> {
  // None of the records is needed.
  const splitter = new Splitter(file, { ...options, maxRecordBytes: 0 }, 0);
  let record = 0;
  for await (const block of byteStream(file)) {
    for (const { start } of splitter.take(block)) {
      record++;
      if (start >= position) return record;
    }
  }
  return record;
}
