/** @file Checks of `infer`: every failure reads `[op] expected ..., got ...`. */
import type { TensorType } from "../../ir/graph.ts";
import { typeText } from "../../ir/text.ts";
import { isFloat } from "../../util/dtype.ts";
import { type Shape, sameShape } from "../../util/shapes.ts";
import { expectDtype, expectShape, fail, INDICES } from "../check.ts";

export function expect(op: string, ok: boolean, expected: string, got: string): asserts ok {
  if (!ok) fail(op, expected, got);
}

/** Number of inputs between `least` and `most`. */
export function expectInputs(
  op: string,
  inputs: readonly TensorType[],
  least: number,
  most = least,
): void {
  const range = least === most ? `${least}` : `${least} to ${most}`;
  const ok = inputs.length >= least && inputs.length <= most;
  expect(op, ok, `${range} inputs`, `${inputs.length}`);
}

/** f32 or bf16, with a last dimension of at least one element. */
export function expectRows(op: string, what: string, type: TensorType): void {
  const ok = isFloat(type.dtype) && type.shape.length >= 1;
  expect(op, ok, `${what} f32 or bf16 of rank >= 1`, typeText(type));
  expect(op, lastSize(type.shape) >= 1, `${what} with a last dim >= 1`, typeText(type));
}

/** x [..., C] and w [V, C]. */
export function expectLinear(op: string, x: TensorType, w: TensorType): void {
  expectRows(op, "x", x);
  const features = lastSize(x.shape);
  const ok = isFloat(w.dtype) && w.shape.length === 2 && w.shape[1] === features;
  expect(op, ok, `w f32 or bf16 [V,${features}]`, typeText(w));
}

/** f32 of exactly this shape. */
export function expectF32(op: string, what: string, type: TensorType, shape: Shape): void {
  const ok = type.dtype === "f32" && sameShape(type.shape, shape);
  expect(op, ok, `${what} f32[${shape.join(",")}]`, typeText(type));
}

/** f32 or bf16 of exactly this shape. */
export function expectFloat(op: string, what: string, type: TensorType, shape: Shape): void {
  const ok = isFloat(type.dtype) && sameShape(type.shape, shape);
  expect(op, ok, `${what} f32 or bf16 [${shape.join(",")}]`, typeText(type));
}

/** i32 or u32 of exactly this shape: ids, targets, positions. */
export function expectIds(op: string, what: string, type: TensorType, shape?: Shape): void {
  expectDtype(op, what, type, INDICES);
  if (shape !== undefined) expectShape(op, what, type, shape);
}

export function expectOneOf<T extends string>(
  op: string,
  what: string,
  value: string,
  allowed: readonly T[],
): asserts value is T {
  const ok = (allowed as readonly string[]).includes(value);
  expect(op, ok, `${what} ${allowed.join(" or ")}`, value);
}

export function expectPositive(op: string, what: string, value: number): void {
  expect(op, Number.isFinite(value) && value > 0, `${what} > 0`, `${value}`);
}

export const lastSize = (shape: Shape): number => shape[shape.length - 1] ?? 1;
export const leadingShape = (shape: Shape): Shape => shape.slice(0, -1);
