/** @file What the ops over a cache of keys and values expect of it, and of the places of tokens in it. */
import type { TensorType } from "../../ir/graph.ts";
import { typeText } from "../../ir/text.ts";
import { isFloat } from "../../util/dtype.ts";
import type { Shape } from "../../util/shapes.ts";
import { expectShape } from "../check.ts";
import { expect } from "./expect.ts";

export function expectCache(op: string, what: string, type: TensorType): void {
  const ok = isFloat(type.dtype) && type.shape.length === 4;
  expect(op, ok, `${what} f32 or bf16 [rows, heads, places, dim]`, typeText(type));
}

/** rows i32 [batch] and slots i32 [batch, length] of tokens [batch, length, ...]. */
export function expectPlaces(op: string, rows: TensorType, slots: TensorType, tokens: Shape): void {
  expect(op, rows.dtype === "i32", "rows i32 [batch]", typeText(rows));
  expectShape(op, "rows", rows, tokens.slice(0, 1));
  expect(op, slots.dtype === "i32", "slots i32 [batch, length]", typeText(slots));
  expectShape(op, "slots", slots, tokens.slice(0, 2));
}
