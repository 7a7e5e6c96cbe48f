/** @file Batches of a run: training samples in the run's order, held-out rows in the order of the data. */
import { type Batch, clearBatch, newBatch, predicted } from "./batch.ts";
import type { HeldOut, Sampler } from "./samples/sampler.ts";

export interface TrainLoader {
  /** Samples first .. first + rows - 1, untouched until the next call. */
  take(first: number): Batch | Promise<Batch>;
  close(): void;
}

/** Fills when it is asked: for data in memory. */
export class DirectLoader implements TrainLoader {
  private readonly sampler: Sampler;
  private readonly rows: number;
  private readonly batch: Batch;

  constructor(sampler: Sampler, rows: number, length: number) {
    this.sampler = sampler;
    this.rows = rows;
    this.batch = newBatch(rows, length);
  }

  take(first: number): Batch {
    fillBatch(this.sampler, first, this.batch, this.rows);
    return this.batch;
  }

  close(): void {}
}

export function fillBatch(sampler: Sampler, first: number, batch: Batch, rows: number): void {
  for (let row = 0; row < rows; row++) sampler.fill(first + row, batch, row);
}

/** Fewer batches than there are lie evenly spread, so that they stand for all that is held out. */
export class ValidationLoader {
  readonly batches: number;
  private readonly heldOut: HeldOut;
  private readonly rows: number;
  private readonly available: number;

  /** At most `limit` batches; 0: all. */
  constructor(heldOut: HeldOut, rows: number, limit: number) {
    this.heldOut = heldOut;
    this.rows = rows;
    this.available = Math.ceil(heldOut.rows / rows);
    this.batches = limit === 0 ? this.available : Math.min(this.available, limit);
  }

  /** Fills the batch and returns the tokens that are predicted in it; rows that are missing in the last one are masked out. */
  fill(batch: Batch, index: number): Uint32Array {
    const first = Math.floor((index * this.available) / this.batches) * this.rows;
    const rows = Math.min(this.rows, this.heldOut.rows - first);
    if (rows < this.rows) clearBatch(batch);
    for (let row = 0; row < rows; row++) this.heldOut.fill(first + row, batch, row);
    return predicted(batch);
  }
}
