/** @file Hashes of a folder's files: of the whole file, and on the way to it every 8 MiB, so that damage is found and its place is, too. */
import { closeSync, openSync, readSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { WINDOW_BYTES, WindowHash } from "../../util/window_hash.ts";
import type { ShardFile } from "./format.ts";

/** The hash is chained over windows: after this many bytes it stands for all before. */
export const STEP_BYTES = 16 * WINDOW_BYTES;

export function hashedFile(folder: string, file: string): ShardFile {
  const hash = new WindowHash();
  const window = new Uint8Array(WINDOW_BYTES);
  const fd = openSync(join(folder, file), "r");
  const steps: string[] = [];
  let bytes = 0;
  try {
    for (let n = readSync(fd, window); n > 0; n = readSync(fd, window)) {
      hash.update(window.subarray(0, n));
      bytes += n;
      if (bytes % STEP_BYTES === 0) steps.push(hash.digest());
    }
  } finally {
    closeSync(fd);
  }
  return { file, bytes, hash: hash.digest(), ...(steps.length > 0 ? { steps } : {}) };
}

export interface Damage {
  /** The first damaged byte is in [from, to). */
  readonly from: number;
  readonly to: number;
  /** Of the whole file, where nothing tells more. */
  readonly hash: string;
}

/** Null: the file is what the index says. Other work runs in between. */
export async function damageOf(folder: string, expected: ShardFile): Promise<Damage | null> {
  const handle = await open(join(folder, expected.file), "r");
  const { steps = [] } = expected;
  try {
    const hash = new WindowHash();
    const part = new Uint8Array(STEP_BYTES);
    let bytes = 0;
    for (let step = 0; ; step++) {
      const from = bytes;
      // A short read would shift the steps.
      while (bytes < from + STEP_BYTES) {
        const { bytesRead } = await handle.read(part, bytes - from, STEP_BYTES - (bytes - from));
        if (bytesRead === 0) break;
        bytes += bytesRead;
      }
      hash.update(part.subarray(0, bytes - from));
      const known = steps[step];
      const whole = bytes === from + STEP_BYTES;
      if (whole && known !== undefined && known !== hash.digest())
        return { from, to: bytes, hash: hash.digest() };
      if (whole) continue;
      if (hash.digest() === expected.hash && bytes === expected.bytes) return null;
      // Without steps all that is known is that it is somewhere.
      return { from: steps.length > 0 ? from : 0, to: bytes, hash: hash.digest() };
    }
  } finally {
    await handle.close();
  }
}
