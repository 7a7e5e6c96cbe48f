/**
 * @file Reads at positions from many files with few of them open. Unlike a mapping it takes no memory of the process, and a file that
 * shrinks or a failing disk is an error, not a signal; what it costs more (bench/loader.ts) is paid by the thread that reads ahead.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { DataError } from "../../util/errors.ts";

const OPEN_MAX = 64;

export class FileReader {
  /** In the order of their last use. */
  private readonly open = new Map<string, number>();

  /** Fills `target` from `offset` on. */
  read(path: string, offset: number, target: Uint8Array): void {
    const file = this.fileOf(path);
    for (let done = 0; done < target.length; ) {
      const count = this.attempt(path, () =>
        readSync(file, target, done, target.length - done, offset + done),
      );
      if (count === 0)
        throw new DataError(
          `${path} ends at byte ${offset + done}: expected ${target.length - done} more`,
        );
      done += count;
    }
  }

  close(): void {
    for (const file of this.open.values()) closeSync(file);
    this.open.clear();
  }

  private fileOf(path: string): number {
    const known = this.open.get(path);
    if (known !== undefined) {
      this.open.delete(path);
      this.open.set(path, known);
      return known;
    }
    const [oldest] = this.open;
    if (oldest !== undefined && this.open.size >= OPEN_MAX) {
      closeSync(oldest[1]);
      this.open.delete(oldest[0]);
    }
    const file = this.attempt(path, () => openSync(path, "r"));
    this.open.set(path, file);
    return file;
  }

  private attempt<T>(path: string, body: () => T): T {
    try {
      return body();
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new DataError(`cannot read ${path}: ${why}`);
    }
  }
}
