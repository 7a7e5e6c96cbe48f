/**
 * @file Appends lines to a file. What the system refuses (a full disk, a quota, a server that is away) is told once, kept, and
 * written with a later line: whoever reports must never end the work that it reports about.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from "node:fs";
import { isSystemError } from "./errors.ts";
import { log } from "./log.ts";

/** A crash may have left half a line; what follows must start on a line of its own. */
function cutTornTail(path: string): void {
  if (!existsSync(path)) return;
  const file = openSync(path, "r+");
  try {
    const { size } = fstatSync(file);
    const block = Buffer.alloc(1 << 16);
    let end = size;
    let whole = 0;
    while (end > 0 && whole === 0) {
      const begin = Math.max(0, end - block.length);
      readSync(file, block, 0, end - begin, begin);
      const at = block.subarray(0, end - begin).lastIndexOf(0x0a);
      if (at !== -1) whole = begin + at + 1;
      end = begin;
    }
    if (whole < size) ftruncateSync(file, whole);
  } finally {
    closeSync(file);
  }
}

export class LineFile {
  private readonly path: string;
  private pending: Buffer = Buffer.alloc(0);
  private warned = false;

  constructor(path: string) {
    this.path = path;
    cutTornTail(path);
  }

  /** `line` ends with a line end. */
  append(line: string): void {
    this.pending = Buffer.concat([this.pending, Buffer.from(line)]);
    this.flush(false);
  }

  /** Writes what is left and makes it durable. */
  finish(): void {
    this.flush(true);
  }

  private flush(sync: boolean): void {
    try {
      const file = openSync(this.path, "a");
      try {
        // A write may be short.
        while (this.pending.length > 0)
          this.pending = this.pending.subarray(writeSync(file, this.pending));
        if (sync) fsyncSync(file);
      } finally {
        closeSync(file);
      }
      this.warned = false;
    } catch (error) {
      if (!isSystemError(error)) throw error;
      if (!this.warned)
        log.warn(`${this.path}: ${error.message}; what is missing is written later`);
      this.warned = true;
    }
  }
}
