/** @file const: one value everywhere. */
import type { Id } from "../../ir/graph.ts";
import type { DType } from "../../util/dtype.ts";
import type { Shape } from "../../util/shapes.ts";
import type { Builder } from "../builder.ts";
import { expectCount, expectSizes, fail, labelsOf } from "../check.ts";
import { defineOp } from "../define.ts";
import { refTensor } from "../reference.ts";

export type ConstAttrs = {
  readonly value: number;
  readonly shape: Shape;
  readonly dtype: DType;
};

function isRepresentable(value: number, dtype: DType): boolean {
  switch (dtype) {
    case "i32":
      return value === (value | 0);
    case "u32":
      return value === value >>> 0;
    case "bool":
      return value === 0 || value === 1;
    default:
      return typeof value === "number";
  }
}

export const constOp = defineOp<ConstAttrs>({
  name: "const",
  tier: "prim",
  doc: "One value everywhere.",
  infer(inputs, { value, shape, dtype }) {
    expectCount("const", inputs, 0);
    expectSizes("const", shape);
    if (!isRepresentable(value, dtype)) fail("const", `a value of dtype ${dtype}`, `${value}`);
    return [{ shape, dtype }];
  },
  reference(_, { value, shape, dtype }) {
    const out = refTensor(shape, dtype);
    out.data.fill(value);
    return [out];
  },
  vjp: null,
  dims: (_, { shape }) => ({ labels: [labelsOf(shape)] }),
  // Planned as immediates of a `map` or as one `fill`.
  kernels: {},
  samples: [
    { name: "f32", inputs: [], attrs: { value: -1.5, shape: [7, 33], dtype: "f32" } },
    { name: "f32 scalar", inputs: [], attrs: { value: 0.1, shape: [], dtype: "f32" } },
    { name: "f32 infinite", inputs: [], attrs: { value: -Infinity, shape: [5], dtype: "f32" } },
    { name: "bf16", inputs: [], attrs: { value: 2.7, shape: [1001], dtype: "bf16" } },
    { name: "i32", inputs: [], attrs: { value: -7, shape: [65], dtype: "i32" } },
    { name: "u32", inputs: [], attrs: { value: 0xffffffff, shape: [3, 3], dtype: "u32" } },
    { name: "bool", inputs: [], attrs: { value: 1, shape: [13], dtype: "bool" } },
  ],
});

export const constant = (b: Builder, value: number, shape: Shape, dtype: DType): Id =>
  b.emit(constOp, [], { value, shape, dtype });

/** A constant of the shape and dtype of `x`. */
export function constantLike(b: Builder, x: Id, value: number): Id {
  const type = b.type(x);
  return constant(b, value, type.shape, type.dtype);
}
