/**
 * @file A request to a live run for a checkpoint now: a file in its folder that holds the asker's own mark. The trainer looks for it
 * at step boundaries and answers in events.jsonl, with the same mark.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const NAME = "checkpoint.request";

/** The mark of whoever asks; null when nobody does. */
export function pendingRequest(directory: string): string | null {
  try {
    return readFileSync(join(directory, NAME), "utf8");
  } catch {
    return null;
  }
}

export function withdrawRequest(directory: string): void {
  rmSync(join(directory, NAME), { force: true });
}

/** Asks, and returns the mark that the answer will bear. */
export function makeRequest(directory: string): string {
  const mark = crypto.randomUUID();
  const temporary = join(directory, `${NAME}.tmp`);
  writeFileSync(temporary, mark);
  renameSync(temporary, join(directory, NAME));
  return mark;
}
