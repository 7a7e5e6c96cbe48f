/** @file The shard that one part of the input becomes, for one split, while it grows; what is in it is durable after `flush`. */
import { closeSync, fdatasyncSync, ftruncateSync, openSync } from "node:fs";
import { join } from "node:path";
import { writeAll } from "../../util/atomic_file.ts";
import { assert } from "../../util/errors.ts";
import type { SplitName, TokensIndex } from "../shards/format.ts";
import type { Tokens } from "../tokenizer.ts";
import type { Example } from "./formatter.ts";

const BUFFER_BYTES = 2 ** 20;
const WORD = 2 ** 32;

export const DTYPES = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array } as const;
export type TokenDtype = TokensIndex["dtype"];

export const dtypeFor = (vocabSize: number): TokenDtype =>
  vocabSize <= 2 ** 8 ? "u8" : vocabSize <= 2 ** 16 ? "u16" : "u32";

/** What has been written so far. */
export interface SplitState {
  readonly tokens: number;
  readonly documents: number;
  readonly text_bytes: number;
  readonly trained: number;
}

export const EMPTY: SplitState = { tokens: 0, documents: 0, text_bytes: 0, trained: 0 };

/** One file of numbers that only grows, written in large parts. */
class Growing {
  private readonly fd: number;
  private readonly buffer: Tokens;
  /** The same memory. */
  private readonly bytes: Uint8Array;
  /** Numbers that wait to be written. */
  private filled = 0;
  /** Bytes of the file. */
  private at: number;

  /** What lies beyond `bytes` was written after the last flush, and is written again. */
  constructor(path: string, dtype: TokenDtype, bytes: number) {
    this.buffer = new DTYPES[dtype](BUFFER_BYTES / DTYPES[dtype].BYTES_PER_ELEMENT);
    this.bytes = new Uint8Array(this.buffer.buffer);
    this.fd = openSync(path, bytes === 0 ? "w" : "r+");
    ftruncateSync(this.fd, bytes);
    this.at = bytes;
  }

  append(numbers: Tokens): void {
    const { buffer } = this;
    for (let from = 0; from < numbers.length; ) {
      if (this.filled === buffer.length) this.write();
      const take = Math.min(buffer.length - this.filled, numbers.length - from);
      const whole = take === numbers.length;
      buffer.set(whole ? numbers : numbers.subarray(from, from + take), this.filled);
      this.filled += take;
      from += take;
    }
  }

  flush(): void {
    this.write();
    fdatasyncSync(this.fd);
  }

  /** Hands what waits to the system: it outlives this process. */
  write(): void {
    const bytes = this.bytes.subarray(0, this.filled * this.buffer.BYTES_PER_ELEMENT);
    writeAll(this.fd, bytes, this.at);
    this.at += bytes.length;
    this.filled = 0;
  }

  close(): void {
    closeSync(this.fd);
  }
}

type What = "tokens" | "starts" | "mask";

export const partFile = (folder: string, split: SplitName, what: What) =>
  join(folder, `${split}.${what}`);

interface SplitFile {
  readonly path: string;
  readonly dtype: TokenDtype;
  readonly bytes: number;
}

/** The files of a split that has come so far. */
export function splitFiles(
  folder: string,
  split: SplitName,
  dtype: TokenDtype,
  masked: boolean,
  { tokens, documents }: SplitState,
): readonly SplitFile[] {
  const file = (what: What, of: TokenDtype, count: number): SplitFile => {
    const bytes = count * DTYPES[of].BYTES_PER_ELEMENT;
    return { path: partFile(folder, split, what), dtype: of, bytes };
  };
  const files = [file("tokens", dtype, tokens), file("starts", "u32", 2 * documents)];
  return masked ? [...files, file("mask", "u8", tokens)] : files;
}

export class SplitWriter {
  private readonly tokens: Growing;
  private readonly starts: Growing;
  private readonly mask: Growing | null;
  private readonly start = new Uint32Array(2);
  private count: number;
  private documents: number;
  private textBytes: number;
  private trained: number;

  constructor(
    folder: string,
    split: SplitName,
    dtype: TokenDtype,
    masked: boolean,
    state: SplitState,
  ) {
    const [tokens, starts, mask] = splitFiles(folder, split, dtype, masked, state).map(
      (file) => new Growing(file.path, file.dtype, file.bytes),
    );
    assert(tokens !== undefined && starts !== undefined, "a split has tokens and starts");
    this.tokens = tokens;
    this.starts = starts;
    this.mask = mask ?? null;
    this.count = state.tokens;
    this.documents = state.documents;
    this.textBytes = state.text_bytes;
    this.trained = state.trained;
  }

  get state(): SplitState {
    const { count: tokens, documents, textBytes: text_bytes, trained } = this;
    return { tokens, documents, text_bytes, trained };
  }

  /** `continues`: the example goes on with the document before. */
  add({ ids, mask, textBytes }: Example, continues: boolean): void {
    if (!continues) {
      this.noteStart();
      this.documents++;
    }
    this.tokens.append(ids);
    if (mask === null) this.trained += ids.length;
    else for (const each of mask) this.trained += each;
    this.mask?.append(mask ?? new Uint8Array(ids.length).fill(1));
    this.count += ids.length;
    this.textBytes += textBytes;
  }

  /** Documents that are trained on as a whole, one after another; the file has no mask. */
  addMany(ids: Tokens, lengths: readonly number[], textBytes: number): void {
    assert(this.mask === null, "documents without masks in a file with masks");
    for (const length of lengths) {
      this.noteStart();
      this.count += length;
    }
    this.tokens.append(ids);
    this.documents += lengths.length;
    this.trained += ids.length;
    this.textBytes += textBytes;
  }

  flush(): void {
    for (const file of [this.tokens, this.starts, this.mask]) file?.flush();
  }

  write(): void {
    for (const file of [this.tokens, this.starts, this.mask]) file?.write();
  }

  /** Notes where the last document ends. */
  finish(): void {
    this.noteStart();
    this.flush();
  }

  close(): void {
    for (const file of [this.tokens, this.starts, this.mask]) file?.close();
  }

  /** Two words: a start is a u64, and numbers hold 53 bits of it. */
  private noteStart(): void {
    this.start[0] = this.count % WORD;
    this.start[1] = Math.floor(this.count / WORD);
    this.starts.append(this.start);
  }
}
