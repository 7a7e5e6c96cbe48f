/**
 * @file Batches. What sample i holds is a pure function of (seed, i), i counting samples over the whole run: an epoch cuts the
 * tokens into windows at a random offset and visits them in a random order. So a resumed run, another batch size or
 * another number of devices sees the same samples.
 */
import { DataError } from "../util/errors.ts";
import { philox4x32 } from "../util/prng.ts";
import { Permutation } from "./permutation.ts";
import type { Tokens } from "./tokenizer.ts";

/** Samples side by side: row r of both arrays is one window and the same shifted by one. */
export interface Batch {
  readonly tokens: Int32Array;
  readonly targets: Int32Array;
}

export const newBatch = (rows: number, length: number): Batch => ({
  tokens: new Int32Array(rows * length),
  targets: new Int32Array(rows * length),
});

const MASKED = -1;

export class TrainLoader {
  readonly windowsPerEpoch: number;
  private readonly tokens: Tokens;
  private readonly length: number;
  private readonly seed: number;
  private epoch = -1;
  private offset = 0;
  private order = new Permutation(1, [0, 0]);

  constructor(tokens: Tokens, length: number, seed: number) {
    this.tokens = tokens;
    this.length = length;
    this.seed = seed;
    // One window less than fits, so that every offset below `length` is possible.
    this.windowsPerEpoch = Math.floor((tokens.length - 1) / length) - 1;
    if (this.windowsPerEpoch < 1)
      throw new DataError(
        `the text has ${tokens.length} tokens, expected at least ${2 * length + 1} for a context of ${length}`,
      );
  }

  /** Where sample `index` starts among the tokens. */
  start(index: number): number {
    const epoch = Math.floor(index / this.windowsPerEpoch);
    if (epoch !== this.epoch) this.enter(epoch);
    return this.offset + this.order.at(index % this.windowsPerEpoch) * this.length;
  }

  /** Writes samples first .. first + rows - 1. */
  fill(batch: Batch, first: number): void {
    const rows = batch.tokens.length / this.length;
    for (let row = 0; row < rows; row++) {
      const start = this.start(first + row);
      const at = row * this.length;
      batch.tokens.set(this.tokens.subarray(start, start + this.length), at);
      batch.targets.set(this.tokens.subarray(start + 1, start + 1 + this.length), at);
    }
  }

  private enter(epoch: number): void {
    const draw = new Uint32Array(4);
    philox4x32([epoch, 0, 0, 0], [this.seed >>> 0, 0x6c6f6164], draw);
    this.epoch = epoch;
    this.offset = (draw[0] ?? 0) % this.length;
    this.order = new Permutation(this.windowsPerEpoch, [draw[1] ?? 0, draw[2] ?? 0]);
  }
}

/**
 * The held-out tokens in order, in windows that do not overlap; what is missing in the last batch is masked out. Fewer batches
 * than there are lie evenly spread, so that they stand for all of the text.
 */
export class ValidationLoader {
  readonly batches: number;
  private readonly tokens: Tokens;
  private readonly length: number;
  private readonly rows: number;
  private readonly available: number;

  /** At most `limit` batches; 0: all. */
  constructor(tokens: Tokens, length: number, rows: number, limit: number) {
    this.tokens = tokens;
    this.length = length;
    this.rows = rows;
    if (tokens.length < 2)
      throw new DataError(`the held-out text has ${tokens.length} tokens, expected at least 2`);
    this.available = Math.ceil((tokens.length - 1) / (length * rows));
    this.batches = limit === 0 ? this.available : Math.min(this.available, limit);
  }

  /** Fills the batch and returns the tokens that are predicted in it. */
  fill(batch: Batch, index: number): Tokens {
    const at = Math.floor((index * this.available) / this.batches);
    const first = at * this.rows * this.length;
    const count = Math.min(this.rows * this.length, this.tokens.length - 1 - first);
    batch.tokens.fill(0);
    batch.targets.fill(MASKED);
    batch.tokens.set(this.tokens.subarray(first, first + count));
    const targets = this.tokens.subarray(first + 1, first + 1 + count);
    batch.targets.set(targets);
    return targets;
  }
}
