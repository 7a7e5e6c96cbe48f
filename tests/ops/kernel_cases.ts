/** @file Every op with its samples, and what a kernel's results must be: those of the f64 reference. */
import { expect } from "bun:test";
import type { TensorType } from "../../src/ir/graph.ts";
import { at } from "../../src/ops/check.ts";
import type { AnyOp, Sample } from "../../src/ops/define.ts";
import { runOp } from "../../src/ops/interpreter.ts";
import type { RefTensor } from "../../src/ops/reference.ts";
import { ops } from "../../src/ops/registry.ts";
import { isFloat } from "../../src/util/dtype.ts";
import { elementCount } from "../../src/util/shapes.ts";
import { norm } from "./gradients.ts";

export const cases: [string, AnyOp, Sample][] = Array.from(ops.values()).flatMap((op) =>
  op.samples.map((sample): [string, AnyOp, Sample] => [`${op.name}: ${sample.name}`, op, sample]),
);

/** Half a unit in the last place of f32 and of bf16, relative. */
const F32_ROUNDING = 2 ** -24;
const BF16_ROUNDING = 2 ** -8;

/** Relative error of a whole result: rounding of its dtype, and of sums as long as they may be here. */
function tolerance(sample: Sample, type: TensorType): number {
  if (sample.tolerance !== undefined) return sample.tolerance;
  if (type.dtype === "bf16") return 1.25 * BF16_ROUNDING;
  if (sample.attrs.compute === "bf16") return 3 * BF16_ROUNDING;
  const read = sample.inputs.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const length = Math.max(1, read / elementCount(type.shape));
  return F32_ROUNDING * (8 + 2 * Math.sqrt(length));
}

function expectClose(got: RefTensor | undefined, expected: RefTensor, limit: number): void {
  const data = got?.data ?? new Float64Array(0);
  expect(data.length).toBe(expected.data.length);
  // Infinities and NaN must be where the reference has them.
  const odd = (values: Float64Array) => Array.from(values).filter((x) => !Number.isFinite(x));
  expect(odd(data)).toEqual(odd(expected.data));
  const difference = data.map((x, i) => {
    const y = at(expected.data, i);
    return Number.isFinite(y) ? x - y : 0;
  });
  const size = norm(expected.data.filter(Number.isFinite));
  expect(norm(difference) / (size + 1e-30)).toBeLessThanOrEqual(limit);
}

/** `values`: the results by name, "0", "1", ... */
export function expectResults(
  op: AnyOp,
  sample: Sample,
  operands: readonly RefTensor[],
  values: ReadonlyMap<string, RefTensor>,
): void {
  const types = op.infer(sample.inputs, sample.attrs);
  runOp(op, operands, sample.attrs, types).forEach((expected, i) => {
    const type = at(types, i);
    const limit = isFloat(type.dtype) ? tolerance(sample, type) : 0;
    expectClose(values.get(`${i}`), expected, limit);
  });
}
