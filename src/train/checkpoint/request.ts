/**
 * @file A request to a live run for a checkpoint now: a file in its folder that holds the asker's own mark. The trainer looks for it
 * at step boundaries and answers in events.jsonl, with the same mark.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const NAME = "checkpoint.request";

/** The mark of whoever asks; null when nobody does. */
export function pendingRequest(directory: string): string | null {
  try {
    const mark = readFileSync(join(directory, NAME), "utf8");
    // Empty: it is being written.
    return mark === "" ? null : mark;
  } catch {
    return null;
  }
}

export function withdrawRequest(directory: string): void {
  rmSync(join(directory, NAME), { force: true });
}

/** Asks, and returns the mark that the answer will bear: that of an earlier request, where one waits already. */
export function makeRequest(directory: string): string {
  const mark = crypto.randomUUID();
  for (;;) {
    try {
      writeFileSync(join(directory, NAME), mark, { flag: "wx" });
      return mark;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const earlier = pendingRequest(directory);
    if (earlier !== null) return earlier;
    // Empty: whoever began to write it is gone, or has been answered meanwhile.
    withdrawRequest(directory);
  }
}
