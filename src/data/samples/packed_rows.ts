/** @file Samples of rows: several whole documents in one, none of them ever cut. */
import { DataError } from "../../util/errors.ts";
import { log } from "../../util/log.ts";
import { type Batch, MASKED } from "../batch.ts";
import { Permutation } from "../permutation.ts";
import type { TokenStore } from "../store.ts";
import { type Packing, packDocuments } from "./packing.ts";
import { epochDraw, type HeldOut, type Place, type Sampler } from "./sampler.ts";
import { maskTargets, type StreamOptions, writeDocument } from "./windows.ts";

/** A place among the documents of one length, to another one. */
type Exchange = (places: number, index: number) => number;

/** Writes packed rows of a store to rows of a batch. */
class RowWriter {
  readonly packing: Packing;
  private readonly store: TokenStore;
  private readonly length: number;
  private readonly separate: boolean;
  private readonly tokens: Int32Array;
  private readonly mask: Uint8Array;

  constructor(store: TokenStore, length: number, separate: boolean, packing?: Packing) {
    this.store = store;
    this.length = length;
    this.separate = separate;
    this.packing = packing ?? packDocuments(store, length);
    this.tokens = new Int32Array(length + 1);
    this.mask = new Uint8Array(length);
  }

  get rows(): number {
    return this.packing.rowStarts.length - 1;
  }

  /** The documents of a row in their order. */
  documents(index: number, exchange: Exchange): number[] {
    const { documents, items, rowStarts, classStarts } = this.packing;
    const row = items.subarray(rowStarts[index], rowStarts[index + 1]);
    return Array.from(row, (item) => {
      const places = this.placesOf(item);
      const first = classStarts[places] ?? 0;
      return documents[first + exchange(places, item - first)] ?? 0;
    });
  }

  write(documents: readonly number[], batch: Batch, row: number): void {
    const { store, length, tokens, mask } = this;
    const at = row * length;
    let used = 0;
    for (const document of documents) {
      const start = store.documentStart(document);
      const count = store.documentStart(document + 1) - start - 1;
      store.read(start, tokens.subarray(0, count + 1));
      batch.tokens.set(tokens.subarray(0, count), at + used);
      batch.targets.set(tokens.subarray(1, count + 1), at + used);
      if (store.masked) {
        store.readMask(start + 1, mask.subarray(0, count));
        maskTargets(batch, at + used, mask.subarray(0, count));
      }
      if (this.separate) writeDocument(batch, at, used, used + count);
      used += count;
    }
    batch.tokens.fill(0, at + used, at + length);
    batch.targets.fill(MASKED, at + used, at + length);
    if (this.separate) writeDocument(batch, at, used, length);
  }

  firstToken(document: number): number {
    return this.store.documentStart(document);
  }

  /** Classes lie longest first: the one whose items hold this. */
  private placesOf(item: number): number {
    const { classStarts } = this.packing;
    let [low, high] = [1, this.length];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if ((classStarts[middle] ?? 0) <= item) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

export class RowSampler implements Sampler {
  readonly perEpoch: number;
  private readonly options: StreamOptions;
  private readonly writer: RowWriter;
  private epoch = -1;
  private order = new Permutation(1, [0, 0]);
  /** By length, of the present epoch. */
  private readonly exchanges = new Map<number, Permutation>();

  /** `packing`: of the same store and length, where another thread has computed it. */
  constructor(store: TokenStore, options: StreamOptions, packing?: Packing) {
    this.options = options;
    this.writer = new RowWriter(store, options.length, options.separate, packing);
    this.perEpoch = this.writer.rows;
    const { empty } = this.writer.packing;
    if (this.perEpoch === 0)
      throw new DataError(`${store.name} has no document of at least two tokens to train on`);
    if (empty > 0 && packing === undefined)
      log.warn(`${empty} documents of ${store.name} have less than two tokens: nothing to predict`);
  }

  get packing(): Packing {
    return this.writer.packing;
  }

  place(sample: number): Place {
    const [first = 0] = this.documents(sample);
    return { source: this.options.source, token: this.writer.firstToken(first) };
  }

  fill(sample: number, batch: Batch, row: number): void {
    this.writer.write(this.documents(sample), batch, row);
  }

  /** The documents of a sample. */
  documents(sample: number): number[] {
    this.enter(Math.floor(sample / this.perEpoch));
    const row = this.order.at(sample % this.perEpoch);
    return this.writer.documents(row, (places, index) => this.exchangeOf(places).at(index));
  }

  private enter(epoch: number): void {
    if (epoch === this.epoch) return;
    const { seed, source } = this.options;
    const [, key0 = 0, key1 = 0] = epochDraw(seed, source, epoch);
    this.epoch = epoch;
    this.order = new Permutation(this.perEpoch, [key0, key1]);
    this.exchanges.clear();
  }

  private exchangeOf(places: number): Permutation {
    const known = this.exchanges.get(places);
    if (known !== undefined) return known;
    const { seed, source } = this.options;
    const [, key0 = 0, key1 = 0] = epochDraw(seed, source, this.epoch, places);
    const count = this.writer.packing.classCounts[places] ?? 0;
    const made = new Permutation(count, [key0, key1]);
    this.exchanges.set(places, made);
    return made;
  }
}

export class RowHeldOut implements HeldOut {
  readonly rows: number;
  private readonly writer: RowWriter;

  constructor(store: TokenStore, length: number, separate: boolean) {
    this.writer = new RowWriter(store, length, separate);
    this.rows = this.writer.rows;
  }

  fill(index: number, batch: Batch, row: number): void {
    this.writer.write(
      this.writer.documents(index, (_places, item) => item),
      batch,
      row,
    );
  }
}
