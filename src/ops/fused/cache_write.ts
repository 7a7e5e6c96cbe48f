/**
 * @file Puts keys or values of new tokens into their places of a cache. The cache is a state that the result replaces, so
 * the kernel touches only the places written.
 */
import type { Id } from "../../ir/graph.ts";
import { typeText } from "../../ir/text.ts";
import { isFloat } from "../../util/dtype.ts";
import type { Builder } from "../builder.ts";
import { defineOp, type Sample } from "../define.ts";
import { isContiguous } from "../kernel.ts";
import { and } from "../prim/and.ts";
import { broadcast } from "../prim/broadcast.ts";
import { cast } from "../prim/cast.ts";
import { compare } from "../prim/compare.ts";
import { constantLike } from "../prim/const.ts";
import { dot } from "../prim/dot.ts";
import { iota } from "../prim/iota.ts";
import { reduce } from "../prim/reduce.ts";
import { select } from "../prim/select.ts";
import { transpose } from "../prim/transpose.ts";
import { expectCache, expectPlaces } from "./attention_cached_checks.ts";
import { f32, shapeOf } from "./compose.ts";
import { expect, expectInputs } from "./expect.ts";
import { firsts } from "./operands.ts";
import { hasDenseRows } from "./views.ts";

type NoAttrs = Record<string, never>;

export const cacheWriteOp = defineOp<NoAttrs>({
  name: "cache_write",
  tier: "fused",
  doc: "cache [rows, heads, places, dim] with x [batch, length, heads, dim] at its rows and slots; a slot below 0 is left out",
  infer(inputs) {
    expectInputs("cache_write", inputs, 4);
    const [cache, x, rows, slots] = firsts(inputs, 4);
    expectCache("cache_write", "cache", cache);
    const [, heads = 0, , dim = 0] = cache.shape;
    const [, , ...head] = x.shape;
    const fits = isFloat(x.dtype) && x.shape.length === 4 && head[0] === heads && head[1] === dim;
    expect("cache_write", fits, `x f32 or bf16 [batch, length, ${heads}, ${dim}]`, typeText(x));
    expectPlaces("cache_write", rows, slots, x.shape);
    return [cache];
  },
  decompose(b, inputs) {
    const [cache, x, rows, slots] = firsts(inputs, 4);
    const shape = shapeOf(b, cache);
    const [count = 1, , places = 1] = shape;
    const [batch = 1, length = 1] = shapeOf(b, x);
    // Which place each token goes to, as zeros and ones [rows, places, batch, length].
    const grid = [count, places, batch, length];
    const inRow = compare(b, iota(b, grid, 0, "i32"), broadcast(b, rows, grid, [2]), "eq");
    const inSlot = compare(b, iota(b, grid, 1, "i32"), broadcast(b, slots, grid, [2, 3]), "eq");
    const hit = cast(b, and(b, inRow, inSlot), "f32");
    const pairs = { batch: [], contract: [[2, 0] as const, [3, 1] as const] };
    const written = transpose(b, dot(b, hit, f32(b, x), pairs), [0, 2, 1, 3]);
    const any = reduce(b, hit, "max", [2, 3]);
    const isWritten = broadcast(b, compare(b, constantLike(b, any, 0), any, "lt"), shape, [0, 2]);
    return [select(b, isWritten, cast(b, written, b.type(cache).dtype), cache)];
  },
  vjp: null,
  dims: () => ({
    labels: [["r", "h", "s", "d"], ["b", "t", "h", "d"], ["b"], ["b", "t"], ["r", "h", "s", "d"]],
    whole: ["r", "s", "b", "t"],
  }),
  kernels: {
    cpu: {
      acceptsInput: (_node, index, view) => (index === 1 ? hasDenseRows(view) : isContiguous(view)),
      inPlace: () => [[0, 0]],
      lower: () => ({ opcode: "cache_write", words: [] }),
    },
  },
  samples: [
    sample("one_each", { cache: [3, 2, 5, 8], rows: [0, 2], slots: [4, 0] }),
    sample("prompt", { cache: [2, 1, 40, 24], rows: [1], slots: [-1, -1, 3, 4, 5, 6, -1] }),
    sample("bf16", { cache: [2, 3, 9, 7], rows: [1, 0], slots: [0, 1, 8, -1], dtype: "bf16" }),
  ],
});

interface Case {
  readonly cache: readonly number[];
  readonly rows: readonly number[];
  readonly slots: readonly number[];
  readonly dtype?: "f32" | "bf16";
}

function sample(name: string, { cache, rows, slots, dtype = "f32" }: Case): Sample<NoAttrs> {
  const batch = rows.length;
  const length = slots.length / batch;
  const [, heads = 1, , dim = 1] = cache;
  const inputs = [
    { shape: cache, dtype },
    { shape: [batch, length, heads, dim], dtype: "f32" },
    { shape: [batch], dtype: "i32", values: rows },
    { shape: [batch, length], dtype: "i32", values: slots },
  ] as const;
  return { name, inputs, attrs: {} };
}

/** `rows` i32 [batch]: rows of the cache; `slots` i32 [batch, length]: places in them, -1 for padding. */
export const cacheWrite = (b: Builder, cache: Id, x: Id, rows: Id, slots: Id): Id =>
  b.emit(cacheWriteOp, [cache, x, rows, slots], {});
