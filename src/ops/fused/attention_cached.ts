/**
 * @file Attention of new tokens to what a cache holds of their rows, themselves included. A token at slot s sees the places
 * up to s; tokens at slot -1 are padding and get zeros. One op serves prefill (many tokens a row) and decoding (one).
 */
import type { Id, TensorType } from "../../ir/graph.ts";
import { typeText } from "../../ir/text.ts";
import { isFloat } from "../../util/dtype.ts";
import type { Builder } from "../builder.ts";
import { expectShape } from "../check.ts";
import { defineOp, type Sample } from "../define.ts";
import { isContiguous } from "../kernel.ts";
import { and } from "../prim/and.ts";
import { broadcast } from "../prim/broadcast.ts";
import { cast } from "../prim/cast.ts";
import { compare } from "../prim/compare.ts";
import { constantLike } from "../prim/const.ts";
import { div } from "../prim/div.ts";
import { dot } from "../prim/dot.ts";
import { exp } from "../prim/exp.ts";
import { gather } from "../prim/gather.ts";
import { iota } from "../prim/iota.ts";
import { reshape } from "../prim/reshape.ts";
import { select } from "../prim/select.ts";
import { sub } from "../prim/sub.ts";
import { transpose } from "../prim/transpose.ts";
import { expectCache, expectPlaces } from "./attention_cached_checks.ts";
import { attentionCachedScratch, type CachedSizes } from "./attention_cached_scratch.ts";
import { grouped } from "./attention_mask.ts";
import { HEAD_DIM_MAX } from "./attention_scratch.ts";
import { alongRows, rowMax, rowSum, shapeOf, times } from "./compose.ts";
import { expect, expectInputs, expectPositive } from "./expect.ts";
import { firsts } from "./operands.ts";
import { type Compute, computeWord, expectCompute } from "./precision.ts";
import { hasDenseRows, isWritable } from "./views.ts";

type Attrs = {
  /** A token at slot s sees only the places above s - window; 0: no such limit. */
  readonly window: number;
  readonly scale: number;
  readonly compute: Compute;
};

function sizesOf(q: readonly number[], k: readonly number[]): CachedSizes {
  const [batch = 1, length = 1, heads = 1, dim = 1] = q;
  return { batch, length, heads, groups: k[1] ?? 1, places: k[2] ?? 1, dim };
}

function expectCaches(q: TensorType, k: TensorType, v: TensorType): void {
  const op = "attention_cached";
  const ok = isFloat(q.dtype) && q.shape.length === 4;
  expect(op, ok, "q f32 or bf16 [batch, length, heads, dim]", typeText(q));
  expectCache(op, "k", k);
  expect(op, v.dtype === k.dtype, `v of dtype ${k.dtype}`, typeText(v));
  expectShape(op, "v", v, k.shape);
  const { heads, groups, dim } = sizesOf(q.shape, k.shape);
  expect(op, k.shape[3] === dim, `k with a last dim of ${dim}`, typeText(k));
  const divides = groups >= 1 && heads % groups === 0;
  const wanted = "a number of key heads that divides the query heads";
  expect(op, divides, wanted, `${groups} of ${heads}`);
}

export const attentionCachedOp = defineOp<Attrs>({
  name: "attention_cached",
  tier: "fused",
  doc: "attention of q [batch, length, heads, dim] at slots to the cached keys and values [rows, heads, places, dim] of its rows",
  infer(inputs, attrs) {
    expectInputs("attention_cached", inputs, 5);
    const [q, k, v, rows, slots] = firsts(inputs, 5);
    expectCaches(q, k, v);
    expectPlaces("attention_cached", rows, slots, q.shape);
    expectPositive("attention_cached", "scale", attrs.scale);
    const wholeWindow = Number.isInteger(attrs.window) && attrs.window >= 0;
    expect("attention_cached", wholeWindow, "window an integer >= 0", `${attrs.window}`);
    expectCompute("attention_cached", attrs.compute);
    return [q];
  },
  decompose(b, inputs, { window, scale, compute }) {
    const [q, k, v, rows, slots] = firsts(inputs, 5);
    const { groups } = sizesOf(shapeOf(b, q), shapeOf(b, k));
    const ofRows = (cache: Id): Id => cast(b, gather(b, cache, rows), compute);
    const q5 = cast(b, grouped(b, q, groups), compute);
    const pairs = { batch: [[0, 0] as const, [2, 1] as const], contract: [[4, 3] as const] };
    const scores = times(b, dot(b, q5, ofRows(k), pairs), scale);
    const shape = shapeOf(b, scores);
    const own = broadcast(b, slots, shape, [0, 2]);
    const place = iota(b, shape, 4, "i32");
    const past = compare(b, place, own, "le");
    const near = compare(b, sub(b, own, place), constantLike(b, own, window), "lt");
    const seen = window > 0 ? and(b, past, near) : past;
    const masked = select(b, seen, scores, constantLike(b, scores, -1e30));
    const e = exp(b, sub(b, masked, alongRows(b, rowMax(b, masked), shape)));
    const p = div(b, e, alongRows(b, rowSum(b, e), shape));
    // Padding sees nothing, and so all places alike: it gets zeros.
    const weights = cast(b, select(b, seen, p, constantLike(b, p, 0)), compute);
    const byPlace = { batch: [[0, 0] as const, [1, 1] as const], contract: [[4, 2] as const] };
    const mixed = dot(b, weights, ofRows(v), byPlace);
    const out = reshape(b, transpose(b, mixed, [0, 2, 1, 3, 4]), shapeOf(b, q));
    return [cast(b, out, b.type(q).dtype)];
  },
  vjp: null,
  dims: () => ({
    labels: [
      ["b", "t", "h", "d"],
      ["r", "h", "s", "d"],
      ["r", "h", "s", "d"],
      ["b"],
      ["b", "t"],
      ["b", "t", "h", "d"],
    ],
    whole: ["t", "d", "r", "s"],
  }),
  // Which places are seen is data: this counts all of them.
  flops(inputs) {
    const [q, k] = firsts(inputs, 2);
    const { batch, length, heads, places, dim } = sizesOf(q.shape, k.shape);
    return 4 * batch * length * heads * places * dim;
  },
  kernels: {
    cpu: {
      supports: (_node, [q]) => (q?.shape[3] ?? 0) <= HEAD_DIM_MAX,
      acceptsInput: (_node, index, view) => (index === 0 ? hasDenseRows(view) : isContiguous(view)),
      acceptsOutput: (_node, _index, view) => hasDenseRows(view) && isWritable(view),
      scratch(_node, inputs, target) {
        if (target === "cuda") return {};
        const [q, k] = firsts(inputs, 2);
        return attentionCachedScratch(sizesOf(q.shape, k.shape));
      },
      lower(node) {
        const { window, scale, compute } = node.attrs as Attrs;
        return {
          opcode: "attention_cached",
          words: [window, { f32: scale }, computeWord(compute)],
        };
      },
    },
  },
  samples: [
    sample("decode", { q: [2, 1, 4, 8], k: [3, 4, 11, 8], rows: [2, 0], slots: [10, 3] }),
    sample("shared_heads", {
      q: [3, 1, 6, 16],
      k: [3, 2, 80, 16],
      rows: [0, 1, 2],
      slots: [70, -1, 0],
    }),
    sample("long", { q: [2, 1, 2, 32], k: [2, 1, 700, 32], rows: [1, 0], slots: [600, 511] }),
    sample(
      "window",
      { q: [2, 1, 2, 8], k: [2, 2, 600, 8], rows: [0, 1], slots: [599, 3] },
      { window: 70 },
    ),
    sample("prompt", {
      q: [1, 9, 2, 20],
      k: [2, 2, 30, 20],
      rows: [1],
      slots: [-1, 5, 6, 7, 8, 9, 10, 11, -1],
    }),
    sample("prompts", {
      ...{ q: [2, 40, 4, 16], k: [2, 2, 330, 16], rows: [1, 0] },
      slots: [
        ...Array.from({ length: 40 }, (_, i) => i),
        ...Array.from({ length: 40 }, (_, i) => 290 + i),
      ],
    }),
    sample(
      "prompt_window",
      {
        q: [1, 30, 2, 8],
        k: [1, 1, 64, 8],
        rows: [0],
        slots: Array.from({ length: 30 }, (_, i) => 34 + i),
      },
      { window: 7 },
    ),
    sample("odd", { q: [1, 1, 5, 7], k: [1, 1, 9, 7], rows: [0], slots: [8] }),
    sample("wide", { q: [1, 1, 2, 128], k: [1, 2, 130, 128], rows: [0], slots: [129] }),
    sample(
      "bf16",
      { q: [2, 1, 4, 24], k: [2, 2, 300, 24], rows: [0, 1], slots: [299, 40], dtype: "bf16" },
      { compute: "bf16" },
    ),
    sample(
      "bf16_compute",
      { q: [1, 3, 2, 16], k: [1, 2, 20, 16], rows: [0], slots: [7, 8, 9] },
      { compute: "bf16" },
    ),
  ],
});

interface Case {
  readonly q: readonly number[];
  readonly k: readonly number[];
  readonly rows: readonly number[];
  readonly slots: readonly number[];
  readonly dtype?: "f32" | "bf16";
}

function sample(name: string, one: Case, given: Partial<Attrs> = {}): Sample<Attrs> {
  const { q, k, rows, slots, dtype = "f32" } = one;
  const attrs: Attrs = { window: 0, scale: 1 / Math.sqrt(q[3] ?? 1), compute: "f32", ...given };
  const cache = { shape: k, dtype };
  const inputs = [
    { shape: q, dtype: "f32" },
    cache,
    cache,
    { shape: q.slice(0, 1), dtype: "i32", values: rows },
    { shape: q.slice(0, 2), dtype: "i32", values: slots },
  ] as const;
  return { name, inputs, attrs, ...(attrs.compute === "bf16" ? { tolerance: 2e-2 } : {}) };
}

export interface CachedInputs {
  readonly q: Id;
  readonly k: Id;
  readonly v: Id;
  readonly rows: Id;
  readonly slots: Id;
}

export interface CachedOptions {
  /** 0, null or absent: no window. */
  readonly window?: number | null;
  readonly scale: number;
  readonly compute: Compute;
}

/** Mixed values [batch, length, heads, dim]. */
export function attentionCached(b: Builder, inputs: CachedInputs, options: CachedOptions): Id {
  const { q, k, v, rows, slots } = inputs;
  const { window, scale, compute } = options;
  return b.emit(attentionCachedOp, [q, k, v, rows, slots], { window: window ?? 0, scale, compute });
}
