/**
 * @file Lines of a file, many at a time. A range of a file owns the lines that begin after a newline within it, the first
 * range also the first line; so ranges that touch own every line once, wherever they touch. A line that is too long is passed over without being held.
 */
import { byteStream } from "./byte_stream.ts";
import type { SourceFile } from "./source_file.ts";

const NEWLINE = 10;
/** Least bytes of a block that is not the last; parts of a stream are larger, and then no block is copied. */
const BLOCK_BYTES = 2 ** 19;

export type Block =
  | { readonly kind: "lines"; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: "too long"; readonly offset: number; readonly length: number };

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : Buffer.concat(parts as Uint8Array[]);
}

export class LineBlocks {
  /** Where the next block begins. */
  offset: number;
  private readonly stream: AsyncGenerator<Uint8Array>;
  private readonly maxLine: number;
  private ready: Uint8Array = new Uint8Array(0);
  /** Read, and given by the next `read`. */
  private rest: Uint8Array | null = null;
  private ended = false;

  /** `offset` is where a line begins. */
  constructor(file: SourceFile, offset: number, maxLine: number) {
    this.stream = byteStream(file, offset);
    this.offset = offset;
    this.maxLine = maxLine;
  }

  close(): Promise<unknown> {
    return this.stream.return(undefined);
  }

  /** Goes to where the range from `start` on begins. */
  async seek(start: number): Promise<void> {
    if (start === 0 || this.offset > start) return;
    while (this.offset + this.ready.length <= start) {
      this.offset += this.ready.length;
      this.ready = new Uint8Array(0);
      if (!(await this.more())) return;
    }
    this.drop(start - this.offset);
    for (let at = this.ready.indexOf(NEWLINE); ; at = this.ready.indexOf(NEWLINE)) {
      this.drop(at === -1 ? this.ready.length : at + 1);
      if (at !== -1 || !(await this.more())) return;
    }
  }

  /** Whole lines of the range that ends at `end`; null when there is no further one. */
  async next(end: number): Promise<Block | null> {
    if (this.offset > end) return null;
    let last = this.ready.lastIndexOf(NEWLINE);
    const parts = [this.ready];
    let held = this.ready.length;
    while (last === -1 || held < Math.min(BLOCK_BYTES, this.maxLine)) {
      const part = await this.read();
      if (part === null) break;
      // The line that stands in both is copied, and the rest of a large part is a block of its own.
      const first = last === -1 && part.length >= BLOCK_BYTES ? part.indexOf(NEWLINE) : -1;
      const taken = held > 0 && first !== -1 ? part.subarray(0, first + 1) : part;
      if (taken.length < part.length) this.rest = part.subarray(first + 1);
      const at = taken.lastIndexOf(NEWLINE);
      if (at !== -1) last = held + at;
      parts.push(taken);
      held += taken.length;
      if (last === -1 && held > this.maxLine) return this.skipLine(held);
      if (this.rest !== null) break;
    }
    this.ready = joined(parts);
    if (held === 0) return null;
    const stop = last === -1 || this.ended ? held : last + 1;
    return this.take(this.cutAt(end, stop));
  }

  /** Whether nothing follows. */
  async atEnd(): Promise<boolean> {
    return this.ready.length === 0 && !(await this.more());
  }

  /** Where the block ends: at its last newline, or at the first one that is not in the range any more. */
  private cutAt(end: number, stop: number): number {
    if (this.offset + stop <= end) return stop;
    const at = this.ready.indexOf(NEWLINE, Math.max(0, end - this.offset));
    return at === -1 ? stop : Math.min(stop, at + 1);
  }

  private take(length: number): Block {
    const { offset } = this;
    const bytes = this.ready.subarray(0, length);
    const long = this.longLine(bytes);
    if (long === null) {
      this.drop(length);
      return { kind: "lines", offset, bytes };
    }
    const [from, to] = long;
    // First what stands before it, then the line itself by its length alone.
    this.drop(from > 0 ? from : to);
    if (from > 0) return { kind: "lines", offset, bytes: bytes.subarray(0, from) };
    return { kind: "too long", offset, length: to };
  }

  /** The first line in the block that is too long: between which bytes. */
  private longLine(bytes: Uint8Array): readonly [number, number] | null {
    if (bytes.length <= this.maxLine) return null;
    for (let from = 0; from < bytes.length; ) {
      const at = bytes.indexOf(NEWLINE, from);
      const to = at === -1 ? bytes.length : at + 1;
      if (to - from > this.maxLine) return [from, to];
      from = to;
    }
    return null;
  }

  private async skipLine(held: number): Promise<Block> {
    const { offset } = this;
    this.ready = new Uint8Array(0);
    let length = held;
    for (;;) {
      const part = await this.read();
      const at = part === null ? -1 : part.indexOf(NEWLINE);
      if (part !== null && at === -1) {
        length += part.length;
        continue;
      }
      length += at + 1;
      this.offset = offset + length;
      this.ready = part === null ? new Uint8Array(0) : part.subarray(at + 1);
      return { kind: "too long", offset, length };
    }
  }

  private drop(count: number): void {
    this.ready = this.ready.subarray(count);
    this.offset += count;
  }

  private async more(): Promise<boolean> {
    const part = await this.read();
    if (part === null) return false;
    this.ready = this.ready.length === 0 ? part : joined([this.ready, part]);
    return true;
  }

  private async read(): Promise<Uint8Array | null> {
    const { rest } = this;
    this.rest = null;
    if (rest !== null) return rest;
    if (this.ended) return null;
    const { value, done } = await this.stream.next();
    this.ended = done === true;
    return this.ended ? null : (value ?? null);
  }
}

/** Line numbers (from 1) of positions in a file, in the order of the positions. Reads the file up to the last one. */
export async function linesAt(file: SourceFile, positions: readonly number[]): Promise<number[]> {
  const lines: number[] = [];
  let line = 1;
  let at = 0;
  const stream = byteStream(file);
  for await (const part of stream) {
    let from = 0;
    while (lines.length < positions.length) {
      const wanted = (positions[lines.length] ?? 0) - at;
      const newline = part.indexOf(NEWLINE, from);
      const reached = newline === -1 ? part.length : newline + 1;
      if (wanted < reached) {
        lines.push(line);
        continue;
      }
      if (newline === -1) break;
      line++;
      from = reached;
    }
    at += part.length;
    if (lines.length === positions.length) break;
  }
  while (lines.length < positions.length) lines.push(line);
  return lines;
}
