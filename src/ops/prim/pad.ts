/** @file pad: zeros before (low) and after (high) every dim. */
import type { Id } from "../../ir/graph.ts";
import { rowMajorStrides } from "../../util/shapes.ts";
import type { Builder } from "../builder.ts";
import { at, expectPerDim, labelsOf, one } from "../check.ts";
import { defineOp } from "../define.ts";
import { refTensor } from "../reference.ts";
import { positionOf, writeWindow } from "../strided.ts";
import { slice } from "./slice.ts";

export type PadAttrs = { readonly low: readonly number[]; readonly high: readonly number[] };

export const padOp = defineOp<PadAttrs>({
  name: "pad",
  tier: "prim",
  doc: "Zeros before and after every dim.",
  infer(inputs, { low, high }) {
    const x = one("pad", inputs);
    expectPerDim("pad", "low sizes", low, x);
    expectPerDim("pad", "high sizes", high, x);
    return [{ shape: x.shape.map((size, d) => size + at(low, d) + at(high, d)), dtype: x.dtype }];
  },
  reference(inputs, { low }, types) {
    const x = at(inputs, 0);
    const out = refTensor(at(types, 0).shape, x.dtype);
    const strides = rowMajorStrides(out.shape);
    writeWindow(out.data, x.shape, strides, positionOf(low, strides), x.data);
    return [out];
  },
  vjp(b, { inputs, attrs, cotangents }) {
    const dy = cotangents[0] ?? null;
    if (dy === null) return [null];
    const { shape } = b.type(at(inputs, 0));
    return [
      slice(
        b,
        dy,
        attrs.low,
        shape.map((size, d) => size + at(attrs.low, d)),
      ),
    ];
  },
  dims(inputs, { low, high }) {
    const labels = labelsOf(one("pad", inputs).shape);
    return {
      labels: [labels, labels],
      whole: labels.filter((_, d) => at(low, d) + at(high, d) > 0),
    };
  },
  kernels: {},
  samples: [
    {
      name: "columns",
      inputs: [{ shape: [5, 8], dtype: "f32" }],
      attrs: { low: [0, 8], high: [0, 16] },
    },
    {
      name: "all sides",
      inputs: [{ shape: [2, 3, 5], dtype: "bf16" }],
      attrs: { low: [1, 0, 2], high: [0, 4, 1] },
    },
    {
      name: "ids",
      inputs: [{ shape: [7], dtype: "i32", fill: "ids", max: 99 }],
      attrs: { low: [1], high: [0] },
    },
  ],
});

export const pad = (b: Builder, x: Id, low: readonly number[], high: readonly number[]): Id =>
  low.every((n) => n === 0) &&
  high.every((n) => n === 0) &&
  low.length === b.type(x).shape.length &&
  high.length === low.length
    ? x
    : b.emit(padOp, [x], { low, high });
