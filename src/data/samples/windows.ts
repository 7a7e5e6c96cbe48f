/**
 * @file Samples of a stream: windows across documents. An epoch cuts the tokens into windows at a random offset and visits them in
 * a random order.
 */
import { DataError } from "../../util/errors.ts";
import { type Batch, MASKED } from "../batch.ts";
import { Permutation } from "../permutation.ts";
import { documentAt, type TokenStore } from "../store.ts";
import { epochDraw, type HeldOut, type Place, type Sampler } from "./sampler.ts";

/** Writes windows of a store to rows of a batch. */
export class WindowWriter {
  private readonly store: TokenStore;
  private readonly length: number;
  private readonly separate: boolean;
  private readonly tokens: Int32Array;
  private readonly mask: Uint8Array;

  /** `separate`: attention, positions and predictions stay inside a document. */
  constructor(store: TokenStore, length: number, separate: boolean) {
    this.store = store;
    this.length = length;
    this.separate = separate;
    this.tokens = new Int32Array(length + 1);
    this.mask = new Uint8Array(length);
  }

  /** The window predicts `count` tokens, those after `start`; the rest of the row is padding. */
  write(start: number, count: number, batch: Batch, row: number): void {
    const { store, length } = this;
    const at = row * length;
    const tokens = this.tokens.subarray(0, count + 1);
    store.read(start, tokens);
    batch.tokens.set(tokens.subarray(0, count), at);
    batch.targets.set(tokens.subarray(1), at);
    batch.tokens.fill(0, at + count, at + length);
    batch.targets.fill(MASKED, at + count, at + length);
    if (store.masked) {
      const mask = this.mask.subarray(0, count);
      store.readMask(start + 1, mask);
      maskTargets(batch, at, mask);
    }
    if (this.separate) this.writeDocuments(start, count, batch, row);
  }

  /** A document that began before the window begins anew in it. */
  private writeDocuments(start: number, count: number, batch: Batch, row: number): void {
    const { store, length } = this;
    const at = row * length;
    let document = documentAt(store, start);
    for (let from = 0; from < count; ) {
      const own = store.documentStart(++document) - start;
      // The token after a document's last one is not its to predict.
      if (own > 0 && own <= count) batch.targets[at + own - 1] = MASKED;
      const end = Math.min(count, own);
      if (end > from) writeDocument(batch, at, from, end);
      from = Math.max(from, end);
    }
    writeDocument(batch, at, count, length);
  }
}

/** Positions from..to - 1 of the row that begins at `at` are one document. */
export function writeDocument(batch: Batch, at: number, from: number, to: number): void {
  batch.documents.fill(from, at + from, at + to);
  for (let i = from; i < to; i++) batch.positions[at + i] = i - from;
}

export function maskTargets({ targets }: Batch, at: number, mask: Uint8Array): void {
  for (let i = 0; i < mask.length; i++) if (mask[i] === 0) targets[at + i] = MASKED;
}

export interface StreamOptions {
  readonly length: number;
  readonly seed: number;
  /** Index in the mixture: equal folders in it are read in different orders. */
  readonly source: number;
  readonly separate: boolean;
}

export class StreamSampler implements Sampler {
  readonly perEpoch: number;
  private readonly options: StreamOptions;
  private readonly writer: WindowWriter;
  private epoch = -1;
  private offset = 0;
  private order = new Permutation(1, [0, 0]);

  constructor(store: TokenStore, options: StreamOptions) {
    const { length, separate } = options;
    this.options = options;
    this.writer = new WindowWriter(store, length, separate);
    // One window less than fits, so that every offset below `length` is possible.
    this.perEpoch = Math.floor((store.length - 1) / length) - 1;
    if (this.perEpoch < 1)
      throw new DataError(
        `${store.name} has ${store.length} tokens, expected at least ${2 * length + 1} for a context of ${length}`,
      );
  }

  place(sample: number): Place {
    const { source, length, seed } = this.options;
    const epoch = Math.floor(sample / this.perEpoch);
    if (epoch !== this.epoch) {
      const [offset = 0, key0 = 0, key1 = 0] = epochDraw(seed, source, epoch);
      this.epoch = epoch;
      this.offset = offset % length;
      this.order = new Permutation(this.perEpoch, [key0, key1]);
    }
    return { source, token: this.offset + this.order.at(sample % this.perEpoch) * length };
  }

  fill(sample: number, batch: Batch, row: number): void {
    this.writer.write(this.place(sample).token, this.options.length, batch, row);
  }
}

/** The held-out tokens in windows that do not overlap; the last one is padded. */
export class StreamHeldOut implements HeldOut {
  readonly rows: number;
  private readonly store: TokenStore;
  private readonly length: number;
  private readonly writer: WindowWriter;

  constructor(store: TokenStore, length: number, separate: boolean) {
    this.store = store;
    this.length = length;
    this.writer = new WindowWriter(store, length, separate);
    this.rows = Math.max(0, Math.ceil((store.length - 1) / length));
  }

  fill(index: number, batch: Batch, row: number): void {
    const start = index * this.length;
    const count = Math.min(this.length, this.store.length - 1 - start);
    this.writer.write(start, count, batch, row);
  }
}
