/**
 * @file Flash attention on a GPU, in CI the virtual one, against the f64 reference on the same bf16 numbers: lengths around those of
 * tiles, all head sizes, shared key heads, masks, and queries, keys and values as views into one packed tensor.
 */
import { afterAll, expect, test } from "bun:test";
import type { Id } from "../../src/ir/graph.ts";
import { Builder } from "../../src/ops/builder.ts";
import { at } from "../../src/ops/check.ts";
import { attentionOp } from "../../src/ops/fused/attention.ts";
import type { AttentionAttrs } from "../../src/ops/fused/attention_mask.ts";
import { interpret } from "../../src/ops/interpreter.ts";
import { get } from "../../src/ops/prim/get.ts";
import { input } from "../../src/ops/prim/input.ts";
import { slice } from "../../src/ops/prim/slice.ts";
import { type RefTensor, refTensor } from "../../src/ops/reference.ts";
import { compile } from "../../src/passes/compile.ts";
import { targetOf } from "../../src/train/target.ts";
import { norm } from "../ops/gradients.ts";
import { runNative } from "../ops/native.ts";
import { sampleTensor } from "../ops/values.ts";
import { openTestGpu } from "./virtual_gpu.ts";

const device = openTestGpu();
afterAll(() => device.close());

interface Case {
  readonly batch?: number;
  readonly length: number;
  readonly heads?: number;
  readonly groups?: number;
  readonly dim: number;
  readonly causal?: boolean;
  readonly window?: number;
  /** Documents of these lengths in turn, packed one after the other. */
  readonly documents?: readonly number[];
  readonly out?: "f32" | "bf16";
}

const CASES: readonly Case[] = [
  // Lengths around tiles of 64 keys and 128 queries.
  ...[1, 2, 15, 63, 64, 65, 127, 128, 129, 200, 257].map((length) => ({ length, dim: 64 })),
  ...[1, 64, 100, 130].map((length) => ({ length, dim: 32, causal: false })),
  // Head sizes: those of tiles, and those that leave a part of one empty.
  ...[16, 32, 48, 80, 96, 112, 128].map((dim) => ({ length: 133, dim })),
  ...[16, 96, 128].map((dim) => ({ length: 70, dim, causal: false })),
  // One, two, four and eight query heads for each key head.
  { batch: 2, length: 67, heads: 2, groups: 2, dim: 32 },
  { batch: 2, length: 67, heads: 4, groups: 2, dim: 64 },
  { length: 67, heads: 4, groups: 1, dim: 128 },
  { length: 67, heads: 8, groups: 1, dim: 16 },
  // Masks.
  { length: 300, dim: 32, window: 50 },
  { length: 150, dim: 64, window: 1 },
  { length: 150, dim: 32, window: 70, causal: false },
  { batch: 2, length: 200, dim: 32, documents: [3, 64, 65, 1, 90] },
  { length: 260, heads: 2, groups: 1, dim: 64, documents: [130] },
  { length: 200, dim: 128, documents: [7, 100], window: 20 },
  { length: 90, dim: 32, documents: [40], causal: false },
  // Results as f32.
  { batch: 2, length: 77, heads: 2, groups: 1, dim: 64, out: "f32" },
  { length: 30, dim: 80, out: "f32" },
];

const nameOf = (one: Case): string => JSON.stringify(one);

/** First position that each one sees. */
function startsOf(batch: number, length: number, lengths: readonly number[]): RefTensor {
  const starts: number[] = [];
  for (let i = 0, first = 0; starts.length < length; i++) {
    const size = at(lengths, i % lengths.length);
    for (let k = 0; k < size && starts.length < length; k++) starts.push(first);
    first += size;
  }
  return refTensor([batch, length], "u32", Array.from({ length: batch }, () => starts).flat());
}

interface Problem {
  readonly values: Map<string, RefTensor>;
  readonly attrs: AttentionAttrs;
  readonly sizes: { batch: number; length: number; heads: number; groups: number; dim: number };
}

function problemOf(one: Case): Problem {
  const { batch = 1, length, heads = 1, groups = 1, dim } = one;
  const { causal = true, window = 0, documents } = one;
  const shape = [batch, length, heads + 2 * groups, dim];
  const values = new Map([["qkv", sampleTensor({ shape, dtype: "bf16" }, nameOf(one))]]);
  if (documents !== undefined) values.set("starts", startsOf(batch, length, documents));
  const attrs: AttentionAttrs = { causal, window, scale: 1 / Math.sqrt(dim), compute: "bf16" };
  return { values, attrs, sizes: { batch, length, heads, groups, dim } };
}

/** Inputs by name, with q, k and v as parts of the packed tensor. */
function inputsOf(b: Builder, { values, sizes }: Problem): Id[] {
  const { batch, length, heads, groups, dim } = sizes;
  const [qkv, ...more] = Array.from(values, ([name, { shape, dtype }]) =>
    input(b, { name, kind: "input", shape, dtype }),
  );
  const part = (from: number, count: number): Id =>
    slice(b, qkv ?? 0, [0, 0, from, 0], [batch, length, from + count, dim]);
  return [part(0, heads), part(heads, groups), part(heads + groups, groups), ...more];
}

function forwardGraph(problem: Problem, attrs: AttentionAttrs, out: "f32" | "bf16") {
  const b = new Builder("forward");
  const id = b.emit(attentionOp, inputsOf(b, problem), { ...attrs, out });
  b.output("out", id);
  b.output("lse", get(b, id, 1));
  return b.finish();
}

/** Relative error of a whole tensor; infinities must be where they belong. */
function errorOf(got: RefTensor | undefined, expected: RefTensor | undefined): number {
  const [found, wanted] = [got?.data ?? new Float64Array(), expected?.data ?? new Float64Array()];
  expect(found.length).toBe(wanted.length);
  const difference = found.map((x, i) => (x === wanted[i] ? 0 : x - at(wanted, i)));
  return norm(difference) / (norm(wanted.filter(Number.isFinite)) + 1e-30);
}

/** Half a unit in the last place of bf16, relative. */
const ROUNDING = 2 ** -9;

test.each(CASES.map((one) => [nameOf(one), one] as const))("forward %s", (_, one) => {
  const problem = problemOf(one);
  const out = one.out ?? "bf16";
  const graph = forwardGraph(problem, problem.attrs, out);
  const { values } = runNative(device, compile(graph, targetOf(device)), problem.values);
  // The reference keeps its weights as they are; the kernel rounds them for their product with the values.
  const exact = forwardGraph(problem, { ...problem.attrs, compute: "f32" }, "f32");
  const expected = interpret(exact, problem.values);
  const limit = out === "bf16" ? 2 * ROUNDING : ROUNDING;
  const error = errorOf(values.get("out"), expected.get("out"));
  expect(error).toBeLessThanOrEqual(limit);
  // Nothing else rounds weights: less would mean that another kernel ran.
  if (out === "f32") expect(error).toBeGreaterThan(limit / 100);
  expect(errorOf(values.get("lse"), expected.get("lse"))).toBeLessThanOrEqual(1e-6);
});
