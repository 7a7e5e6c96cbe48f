/**
 * @file Samples by index. What sample i holds is a pure function of (seed, i), i counting the samples of a whole run: so a resumed
 * run, another batch size, accumulation or number of devices sees the same samples, and going on anywhere costs nothing.
 */
import { philox4x32 } from "../../util/prng.ts";
import type { Batch } from "../batch.ts";

/** Where a sample's first token lies. */
export interface Place {
  /** Of the mixture. */
  readonly source: number;
  readonly token: number;
}

/** Rows of one split in an order that never ends. */
export interface Sampler {
  /** Samples after which everything was seen once. */
  readonly perEpoch: number;
  place(sample: number): Place;
  fill(sample: number, batch: Batch, row: number): void;
}

/** Rows that are held out, in the order of the data. */
export interface HeldOut {
  readonly rows: number;
  fill(index: number, batch: Batch, row: number): void;
}

const LOADER_KEY = 0x6c6f6164;

/** Four random words of an epoch of a source; `use` tells apart what they are for. */
export function epochDraw(seed: number, source: number, epoch: number, use = 0): Uint32Array {
  const draw = new Uint32Array(4);
  philox4x32([epoch, source, use, 0], [seed >>> 0, LOADER_KEY], draw);
  return draw;
}
