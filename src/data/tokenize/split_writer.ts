/** @file The shard that one part of the input becomes, for one split, while it grows; what is in it is durable after `flush`. */
import { closeSync, fdatasyncSync, ftruncateSync, openSync } from "node:fs";
import { join } from "node:path";
import { writeAll } from "../../util/atomic_file.ts";
import type { SplitName, TokensIndex } from "../shards/format.ts";
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

/** One file that only grows, written in large parts. */
class Growing {
  private readonly fd: number;
  private readonly buffer = new Uint8Array(BUFFER_BYTES);
  private filled = 0;
  private at: number;

  /** What lies beyond `bytes` was written after the last flush, and is written again. */
  constructor(path: string, bytes: number) {
    this.fd = openSync(path, bytes === 0 ? "w" : "r+");
    ftruncateSync(this.fd, bytes);
    this.at = bytes;
  }

  append(bytes: Uint8Array): void {
    if (this.filled + bytes.length > BUFFER_BYTES) this.write();
    if (bytes.length > BUFFER_BYTES) {
      writeAll(this.fd, bytes, this.at);
      this.at += bytes.length;
      return;
    }
    this.buffer.set(bytes, this.filled);
    this.filled += bytes.length;
  }

  flush(): void {
    this.write();
    fdatasyncSync(this.fd);
  }

  close(): void {
    closeSync(this.fd);
  }

  private write(): void {
    writeAll(this.fd, this.buffer.subarray(0, this.filled), this.at);
    this.at += this.filled;
    this.filled = 0;
  }
}

const bytesOf = (array: Uint8Array | Uint16Array | Uint32Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

export const partFile = (folder: string, split: SplitName, what: "tokens" | "starts" | "mask") =>
  join(folder, `${split}.${what}`);

export class SplitWriter {
  private readonly dtype: TokenDtype;
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
    const { BYTES_PER_ELEMENT: width } = DTYPES[dtype];
    this.dtype = dtype;
    this.tokens = new Growing(partFile(folder, split, "tokens"), state.tokens * width);
    this.starts = new Growing(partFile(folder, split, "starts"), state.documents * 8);
    this.mask = masked ? new Growing(partFile(folder, split, "mask"), state.tokens) : null;
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
    const Kind = DTYPES[this.dtype];
    this.tokens.append(bytesOf(ids instanceof Kind ? ids : Kind.from(ids)));
    if (mask === null) this.trained += ids.length;
    else for (const each of mask) this.trained += each;
    this.mask?.append(mask ?? new Uint8Array(ids.length).fill(1));
    this.count += ids.length;
    this.textBytes += textBytes;
  }

  flush(): void {
    for (const file of [this.tokens, this.starts, this.mask]) file?.flush();
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
    this.starts.append(bytesOf(this.start));
  }
}
