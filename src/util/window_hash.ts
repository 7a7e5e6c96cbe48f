/**
 * @file The hash of checkpoint and token files: XXH3 (64 bits) chained over windows that fit a core's cache, so that hashing what was just copied
 * costs next to nothing. Bun's xxHash3 takes 32 bits of a seed, so as many carry from one window to the next. It finds damage; it is no
 * defence against an attacker.
 */
import { open } from "node:fs/promises";

export const WINDOW_BYTES = 2 ** 19;

export class WindowHash {
  private state = 0n;
  private readonly pending: Uint8Array;
  private filled = 0;

  constructor() {
    this.pending = new Uint8Array(WINDOW_BYTES);
  }

  update(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.filled === 0 && bytes.length - at >= WINDOW_BYTES) {
        this.step(bytes.subarray(at, at + WINDOW_BYTES));
        at += WINDOW_BYTES;
        continue;
      }
      const take = Math.min(WINDOW_BYTES - this.filled, bytes.length - at);
      this.pending.set(bytes.subarray(at, at + take), this.filled);
      this.filled += take;
      at += take;
      if (this.filled === WINDOW_BYTES) {
        this.step(this.pending);
        this.filled = 0;
      }
    }
  }

  /** `xxh3-512k:` and 16 hex digits. */
  digest(): string {
    if (this.filled > 0) this.step(this.pending.subarray(0, this.filled));
    this.filled = 0;
    return `xxh3-512k:${this.state.toString(16).padStart(16, "0")}`;
  }

  private step(window: Uint8Array): void {
    this.state = Bun.hash.xxHash3(window, this.state);
  }
}

/** What is read of a file at a time. */
const READ_BYTES = 32 * WINDOW_BYTES;

/** Of a whole file, as manifests and indices hold it; other work runs in between. */
export async function hashFile(path: string): Promise<string> {
  const handle = await open(path, "r");
  try {
    const hash = new WindowHash();
    const window = new Uint8Array(READ_BYTES);
    for (;;) {
      const { bytesRead } = await handle.read(window, 0, READ_BYTES);
      if (bytesRead === 0) return hash.digest();
      hash.update(window.subarray(0, bytesRead));
    }
  } finally {
    await handle.close();
  }
}
