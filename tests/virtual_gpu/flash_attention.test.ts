/**
 * @file Flash attention on a GPU, in CI the virtual one, against the f64 reference on the same bf16 numbers: lengths around those of
 * tiles, all head sizes, shared key heads, masks, and queries, keys and values as views into one packed tensor.
 */
import { afterAll, describe, expect, test } from "bun:test";
import type { Id } from "../../src/ir/graph.ts";
import { Builder } from "../../src/ops/builder.ts";
import { at } from "../../src/ops/check.ts";
import { attentionOp } from "../../src/ops/fused/attention.ts";
import { attentionGradOp } from "../../src/ops/fused/attention_grad.ts";
import type { AttentionAttrs } from "../../src/ops/fused/attention_mask.ts";
import { interpret } from "../../src/ops/interpreter.ts";
import { concat } from "../../src/ops/prim/concat.ts";
import { get } from "../../src/ops/prim/get.ts";
import { input } from "../../src/ops/prim/input.ts";
import { slice } from "../../src/ops/prim/slice.ts";
import { type RefTensor, refTensor } from "../../src/ops/reference.ts";
import { compile } from "../../src/passes/compile.ts";
import type { Device } from "../../src/runtime/index.ts";
import { targetOf } from "../../src/train/target.ts";
import { assert } from "../../src/util/errors.ts";
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
  /** A head's query, key and value lie side by side, not all queries before all keys. */
  readonly byHead?: boolean;
  /** How results are stored. */
  readonly stored?: "f32" | "bf16";
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
  // Another layout of the packed tensor.
  { batch: 2, length: 70, heads: 2, groups: 2, dim: 32, byHead: true },
  // Results as f32.
  { batch: 2, length: 77, heads: 2, groups: 1, dim: 64, stored: "f32" },
  { length: 30, dim: 80, stored: "f32" },
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
  readonly byHead: boolean;
  readonly sizes: { batch: number; length: number; heads: number; groups: number; dim: number };
}

function problemOf(one: Case): Problem {
  const { batch = 1, length, heads = 1, groups = 1, dim } = one;
  const { causal = true, window = 0, documents } = one;
  const { byHead = false } = one;
  const shape = byHead ? [batch, length, heads, 3 * dim] : [batch, length, heads + 2 * groups, dim];
  const values = new Map([["qkv", sampleTensor({ shape, dtype: "bf16" }, nameOf(one))]]);
  if (documents !== undefined) values.set("starts", startsOf(batch, length, documents));
  const attrs: AttentionAttrs = { causal, window, scale: 1 / Math.sqrt(dim), compute: "bf16" };
  return { values, attrs, byHead, sizes: { batch, length, heads, groups, dim } };
}

/** Inputs by name, with q, k and v as parts of the packed tensor. */
function inputsOf(b: Builder, { values, sizes, byHead }: Problem): Id[] {
  const { batch, length, heads, groups, dim } = sizes;
  const [qkv, ...more] = Array.from(values, ([name, { shape, dtype }]) =>
    input(b, { name, kind: "input", shape, dtype }),
  );
  const ofHead = (from: number): Id =>
    slice(b, qkv ?? 0, [0, 0, 0, from], [batch, length, heads, from + dim]);
  if (byHead) return [ofHead(0), ofHead(dim), ofHead(2 * dim), ...more];
  const part = (from: number, count: number): Id =>
    slice(b, qkv ?? 0, [0, 0, from, 0], [batch, length, from + count, dim]);
  return [part(0, heads), part(heads, groups), part(heads + groups, groups), ...more];
}

/** out, lse, and dq, dk and dv as one packed tensor; with `exact` nothing is rounded on the way. */
function graphOf(problem: Problem, stored: "f32" | "bf16", exact: boolean) {
  const { attrs, sizes } = problem;
  const { batch, length, heads, dim } = sizes;
  const b = new Builder("attention");
  const [q = 0, k = 0, v = 0, ...starts] = inputsOf(b, problem);
  const shape = [batch, length, heads, dim];
  const dout = input(b, { name: "dout", kind: "input", shape, dtype: "bf16" });
  const all: AttentionAttrs = { ...attrs, compute: exact ? "f32" : "bf16" };
  const out = b.emit(attentionOp, [q, k, v, ...starts], { ...all, out: stored });
  const lse = get(b, out, 1);
  const results = { dq: stored, dk: stored, dv: stored };
  const inputs = [q, k, v, out, lse, dout, ...starts];
  const dq = b.emit(attentionGradOp, inputs, { ...all, ...results });
  b.output("out", out);
  b.output("lse", lse);
  b.output("dqkv", concat(b, [dq, get(b, dq, 1), get(b, dq, 2)], 2));
  return b.finish();
}

/** The parts of a packed tensor, of so many heads each. */
function partsOf({ data, shape }: RefTensor, counts: readonly number[]): Float64Array[] {
  const [, , heads = 1, dim = 1] = shape;
  let first = 0;
  return counts.map((count) => {
    const [from, to] = [first, first + count];
    first = to;
    return data.filter((_, i) => {
      const head = Math.floor(i / dim) % heads;
      return head >= from && head < to;
    });
  });
}

/** Half a unit in the last place of bf16, relative. */
const ROUNDING = 2 ** -9;

/** Length of the difference; infinities must be where they belong. */
const distance = (got: Float64Array, wanted: Float64Array): number =>
  norm(got.map((x, i) => (x === wanted[i] ? 0 : x - at(wanted, i))));

type Kernels = NonNullable<Device["info"]["gpu"]>["attention"];

function check(kernels: Kernels, one: Case): void {
  device.choose(`attention ${kernels}`);
  const problem = problemOf(one);
  const { batch, length, heads, groups, dim } = problem.sizes;
  const dout = { shape: [batch, length, heads, dim], dtype: "bf16" } as const;
  const values = new Map([...problem.values, ["dout", sampleTensor(dout, `dout ${nameOf(one)}`)]]);
  const { stored = "bf16" } = one;
  // The second of the two runs has another schedule of threads, and must give the first one's bits.
  const compiled = compile(graphOf(problem, stored, false), targetOf(device));
  const results = runNative(device, compiled, values).values;
  const expected = interpret(graphOf(problem, "f32", true), values);
  const pair = (name: string): [RefTensor, RefTensor] => {
    const [got, wanted] = [results.get(name), expected.get(name)];
    assert(got !== undefined && wanted !== undefined, name);
    return [got, wanted];
  };

  const [out, exactOut] = pair("out");
  // Rounded are the weights, for their product with the values, and what is stored.
  const error = distance(out.data, exactOut.data) / norm(exactOut.data);
  expect(error).toBeLessThanOrEqual(stored === "bf16" ? 2 * ROUNDING : ROUNDING);
  // No other kernel rounds weights: less would mean that one of those ran.
  if (stored === "f32") expect(error).toBeGreaterThan(ROUNDING / 100);
  const [lse, exactLse] = pair("lse");
  const size = norm(exactLse.data.filter(Number.isFinite));
  // Relative to the sums of exponentials, whose logarithm may be near 0; tensor cores cut off sums that a CPU rounds.
  const limit = 1e-6 * size + 4e-6 * Math.sqrt(lse.data.length);
  expect(distance(lse.data, exactLse.data)).toBeLessThanOrEqual(limit);

  const [gradients, exactGradients] = pair("dqkv");
  const whole = norm(exactGradients.data);
  const counts = [heads, groups, groups];
  const exactParts = partsOf(exactGradients, counts);
  // Rounded are the forward result, the weights, their gradients and what is stored. The first of these shows in proportion
  // to dout times out, which is far more than dq and dk where a query sees but a key or two.
  partsOf(gradients, counts).forEach((part, i) => {
    const exact = at(exactParts, i);
    const limit = 4 * ROUNDING * (norm(exact) + 0.1 * whole);
    expect(distance(part, exact)).toBeLessThanOrEqual(limit);
    if (stored === "f32") expect(distance(part, exact)).toBeGreaterThan(limit / 1000);
  });
}

const NAMED = CASES.map((one) => [nameOf(one), one] as const);

describe("mma.sync", () => {
  test.each(NAMED)("%s", (_, one) => check("mma", one));
});

// Of compute capability 9.0 alone. On a real GPU where asked for: what a fault in them breaks would be the other kernels' too.
const { THESEUS_TEST_GPU: real, THESEUS_CUDA_WGMMA: asked } = process.env;
const leaves = device.info.gpu?.capability !== 90 || (real === "1" && asked !== "1");

describe.skipIf(leaves)("wgmma", () => {
  test.each(NAMED)("%s", (_, one) => check("wgmma", one));
});
