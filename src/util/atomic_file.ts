/** @file Files that a crash leaves old or new, never in part. */
import { closeSync, fsyncSync, openSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { isSystemError } from "./errors.ts";

/** Forces a folder's entries to the disk. */
export function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** Writes all of `bytes`, also where the system takes less at a time; `at`: where in the file, else where it stands. */
export function writeAll(file: number, bytes: Uint8Array, at: number | null = null): void {
  for (let done = 0; done < bytes.length; )
    done += writeSync(file, bytes, done, bytes.length - done, at === null ? null : at + done);
}

/** Writes a file so that a crash leaves the old one or the new one, whole. */
export function writeAtomically(path: string, text: string): void {
  const temporary = `${path}.tmp`;
  const file = openSync(temporary, "w");
  try {
    writeAll(file, Buffer.from(text));
    fsyncSync(file);
  } catch (error) {
    // What writing refuses does not say where.
    throw isSystemError(error) ? Object.assign(error, { path }) : error;
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  syncFolder(dirname(path));
}
