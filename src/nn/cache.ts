/**
 * @file Keys and values of earlier tokens, as state that the programs of generation share. A module that mixes positions
 * asks the sequence for its cache: new tokens are put into their places, and attend to all places of their row up to their own.
 */
import type { Id } from "../ir/graph.ts";
import { attentionCached, type CachedOptions } from "../ops/fused/attention_cached.ts";
import { cacheWrite } from "../ops/fused/cache_write.ts";
import { input } from "../ops/prim/input.ts";
import type { Tensor } from "./tensor.ts";

export interface CacheSize {
  /** Sequences that it holds at a time. */
  readonly rows: number;
  /** Tokens of each. */
  readonly places: number;
}

export class Cache {
  private readonly size: CacheSize;
  private readonly rows: Tensor;
  private readonly slots: Tensor;

  /** `rows` i32 [batch]: which row of the cache; `slots` i32 [batch, seq]: each token's place in it, -1 for padding. */
  constructor(size: CacheSize, rows: Tensor, slots: Tensor) {
    this.size = size;
    this.rows = rows;
    this.slots = slots;
  }

  /** Tokens that a row may grow to. */
  get places(): number {
    return this.size.places;
  }

  /** Mixed values of the module at `path` for q [batch, seq, head, dim], k and v [batch, seq, kv_head, dim]. */
  attend(path: string, q: Tensor, k: Tensor, v: Tensor, options: CachedOptions): Id {
    const { b } = q.trace;
    const rows = this.rows.id;
    const slots = this.slots.id;
    const key = this.written(`cache/${path}.key`, k, options);
    const value = this.written(`cache/${path}.value`, v, options);
    return attentionCached(b, { q: q.id, k: key, v: value, rows, slots }, options);
  }

  /** The state with the new tokens in it; it is kept as its operands are rounded anyway. */
  private written(name: string, x: Tensor, { compute }: CachedOptions): Id {
    const { b } = x.trace;
    const [, , heads, dim] = x.axes.map((each) => each.size);
    const shape = [this.size.rows, heads ?? 1, this.size.places, dim ?? 1];
    const state = input(b, { name, kind: "state", shape, dtype: compute });
    const next = cacheWrite(b, state, x.id, this.rows.id, this.slots.id);
    b.output(name, next, name);
    return next;
  }
}
