/** @file slice: the window [starts, limits) of every dim. */
import type { Id } from "../../ir/graph.ts";
import { rowMajorStrides } from "../../util/shapes.ts";
import type { Builder } from "../builder.ts";
import { at, expectPerDim, fail, labelsOf, one } from "../check.ts";
import { defineOp } from "../define.ts";
import { positionOf, readWindow } from "../strided.ts";
import { pad } from "./pad.ts";

export type SliceAttrs = {
  readonly starts: readonly number[];
  readonly limits: readonly number[];
};

export const sliceOp = defineOp<SliceAttrs>({
  name: "slice",
  tier: "prim",
  doc: "The window [starts, limits) of every dim.",
  infer(inputs, { starts, limits }) {
    const x = one("slice", inputs);
    expectPerDim("slice", "starts", starts, x);
    expectPerDim("slice", "limits", limits, x);
    x.shape.forEach((size, d) => {
      const start = at(starts, d);
      const limit = at(limits, d);
      if (start >= limit || limit > size) {
        fail("slice", `0 <= start < limit <= ${size} in dim ${d}`, `${start} and ${limit}`);
      }
    });
    return [{ shape: limits.map((limit, d) => limit - at(starts, d)), dtype: x.dtype }];
  },
  reference(inputs, { starts }, types) {
    const x = at(inputs, 0);
    const { shape } = at(types, 0);
    const strides = rowMajorStrides(x.shape);
    const data = readWindow(x.data, shape, strides, positionOf(starts, strides));
    return [{ shape, dtype: x.dtype, data }];
  },
  vjp(b, { inputs, attrs, cotangents }) {
    const dy = cotangents[0] ?? null;
    if (dy === null) return [null];
    const { shape } = b.type(at(inputs, 0));
    return [
      pad(
        b,
        dy,
        attrs.starts,
        shape.map((size, d) => size - at(attrs.limits, d)),
      ),
    ];
  },
  dims(inputs, { starts, limits }) {
    const { shape } = one("slice", inputs);
    const labels = labelsOf(shape);
    const cut = shape.map((size, d) => at(limits, d) - at(starts, d) !== size);
    return { labels: [labels, labels], whole: labels.filter((_, d) => cut[d]) };
  },
  kernels: {},
  samples: [
    {
      name: "columns",
      inputs: [{ shape: [5, 24], dtype: "f32" }],
      attrs: { starts: [0, 8], limits: [5, 16] },
    },
    {
      name: "rows",
      inputs: [{ shape: [9, 3, 4], dtype: "bf16" }],
      attrs: { starts: [2, 0, 0], limits: [3, 3, 4] },
    },
    {
      name: "box",
      inputs: [{ shape: [4, 5, 6], dtype: "f32" }],
      attrs: { starts: [1, 2, 3], limits: [3, 5, 4] },
    },
  ],
});

export function slice(b: Builder, x: Id, starts: readonly number[], limits: readonly number[]): Id {
  const { shape } = b.type(x);
  const all =
    starts.length === shape.length &&
    limits.length === shape.length &&
    shape.every((size, d) => starts[d] === 0 && limits[d] === size);
  return all ? x : b.emit(sliceOp, [x], { starts, limits });
}
