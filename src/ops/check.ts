/** @file What `infer` functions share: operand counts, dtypes and shapes, with errors of one form. */
import type { TensorType } from "../ir/graph.ts";
import { typeText } from "../ir/text.ts";
import type { DType } from "../util/dtype.ts";
import { UserError } from "../util/errors.ts";
import { sameShape } from "../util/shapes.ts";

export const FLOATS: readonly DType[] = ["f32", "bf16"];
export const INDICES: readonly DType[] = ["i32", "u32"];
export const NUMBERS: readonly DType[] = [...FLOATS, ...INDICES];

export function fail(op: string, expected: string, got: string): never {
  throw new UserError(`[${op}] expected ${expected}, got ${got}`);
}

/** Element `index`, which the caller knows to exist. */
export function at<T>(list: ArrayLike<T>, index: number): T {
  const value = list[index];
  // Not `assert`: its message would be built on every call, and reference loops live on this.
  if (value === undefined) throw new Error(`internal: no element ${index} of ${list.length}`);
  return value;
}

export function expectCount(op: string, inputs: readonly TensorType[], count: number): void {
  if (inputs.length !== count)
    fail(op, count === 1 ? "1 operand" : `${count} operands`, `${inputs.length}`);
}

export function one(op: string, inputs: readonly TensorType[]): TensorType {
  expectCount(op, inputs, 1);
  return at(inputs, 0);
}

export function two(op: string, inputs: readonly TensorType[]): [TensorType, TensorType] {
  expectCount(op, inputs, 2);
  return [at(inputs, 0), at(inputs, 1)];
}

export function three(
  op: string,
  inputs: readonly TensorType[],
): [TensorType, TensorType, TensorType] {
  expectCount(op, inputs, 3);
  return [at(inputs, 0), at(inputs, 1), at(inputs, 2)];
}

export function expectDtype(
  op: string,
  name: string,
  type: TensorType,
  allowed: readonly DType[],
): void {
  if (!allowed.includes(type.dtype)) {
    fail(op, `${name} of dtype ${allowed.join(" or ")}`, typeText(type));
  }
}

/** Equal shapes and dtypes, as all elementwise ops need them. */
export function expectSame(op: string, x: TensorType, y: TensorType): void {
  if (x.dtype !== y.dtype || !sameShape(x.shape, y.shape)) {
    fail(op, "two operands of equal shape and dtype", `${typeText(x)} and ${typeText(y)}`);
  }
}

export function expectShape(
  op: string,
  name: string,
  type: TensorType,
  shape: readonly number[],
): void {
  if (!sameShape(type.shape, shape)) {
    fail(op, `${name} of shape [${shape.join(",")}]`, typeText(type));
  }
}

export function expectDim(op: string, type: TensorType, dim: number): void {
  if (!Number.isInteger(dim) || dim < 0 || dim >= type.shape.length) {
    fail(op, `a dim of ${typeText(type)}`, `${dim}`);
  }
}

/** A shape of positive integers, at most eight of them (zero-sized tensors do not exist here). */
export function expectSizes(op: string, shape: readonly number[]): void {
  const sound = shape.every((size) => Number.isInteger(size) && size >= 1);
  if (!sound || shape.length > 8) {
    fail(op, "at most 8 sizes, each an integer >= 1", `[${shape.join(",")}]`);
  }
}

/** One list entry per dim of `type`. */
export function expectPerDim(
  op: string,
  name: string,
  list: readonly number[],
  type: TensorType,
): void {
  if (list.length !== type.shape.length || !list.every((x) => Number.isInteger(x) && x >= 0)) {
    const expected = `${type.shape.length} ${name} >= 0 for ${typeText(type)}`;
    fail(op, expected, `[${list.join(",")}]`);
  }
}

/** Factor labels of an operand whose dims all have a meaning of their own: a0, a1, ... */
export const labelsOf = (shape: readonly number[], prefix = "d"): string[] =>
  shape.map((_, i) => `${prefix}${i}`);
