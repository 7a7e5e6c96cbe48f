/** @file broadcast: repeats along new dims and dims of size 1; dims[i] is the result dim of input dim i. */
import type { Id, TensorType } from "../../ir/graph.ts";
import { rowMajorStrides, type Shape, sameShape, shapeText } from "../../util/shapes.ts";
import type { Builder } from "../builder.ts";
import { at, expectSizes, fail, labelsOf, one } from "../check.ts";
import { defineOp } from "../define.ts";
import { readWindow } from "../strided.ts";
import { reduce } from "./reduce.ts";
import { reshape } from "./reshape.ts";

export type BroadcastAttrs = { readonly shape: Shape; readonly dims: readonly number[] };

function expectDims(x: TensorType, { shape, dims }: BroadcastAttrs): void {
  const sound =
    dims.length === x.shape.length &&
    dims.every((d, i) => {
      const size = shape[d];
      const ascending = i === 0 || d > at(dims, i - 1);
      return size !== undefined && ascending && (at(x.shape, i) === size || at(x.shape, i) === 1);
    });
  if (!sound) {
    const from = `${shapeText(x.shape)} to ${shapeText(shape)}`;
    fail("broadcast", `ascending dims that fit ${from}`, `[${dims.join(",")}]`);
  }
}

export const broadcastOp = defineOp<BroadcastAttrs>({
  name: "broadcast",
  tier: "prim",
  doc: "Repeats along new dims and dims of size 1.",
  infer(inputs, attrs) {
    const x = one("broadcast", inputs);
    expectSizes("broadcast", attrs.shape);
    expectDims(x, attrs);
    return [{ shape: attrs.shape, dtype: x.dtype }];
  },
  reference(inputs, { shape, dims }) {
    const x = at(inputs, 0);
    const strides = rowMajorStrides(x.shape);
    const window = shape.map(() => 0);
    dims.forEach((d, i) => {
      window[d] = at(x.shape, i) === 1 ? 0 : at(strides, i);
    });
    return [{ shape, dtype: x.dtype, data: readWindow(x.data, shape, window) }];
  },
  vjp(b, { inputs, attrs, cotangents }) {
    const dy = cotangents[0] ?? null;
    if (dy === null) return [null];
    const { shape } = b.type(at(inputs, 0));
    const kept = new Set(attrs.dims.filter((d, i) => at(shape, i) === at(attrs.shape, d)));
    const repeated = attrs.shape.map((_, d) => d).filter((d) => !kept.has(d));
    return [reshape(b, reduce(b, dy, "sum", repeated), shape)];
  },
  dims(inputs, { shape, dims }) {
    const x = one("broadcast", inputs);
    const labels = labelsOf(shape);
    const from = dims.map((d, i) =>
      at(x.shape, i) === at(shape, d) ? at(labels, d) : `single${i}`,
    );
    return { labels: [from, labels] };
  },
  kernels: {},
  samples: [
    {
      name: "row",
      inputs: [{ shape: [7], dtype: "f32" }],
      attrs: { shape: [3, 5, 7], dims: [2] },
    },
    { name: "scalar", inputs: [{ shape: [], dtype: "f32" }], attrs: { shape: [2, 3], dims: [] } },
    {
      name: "size one",
      inputs: [{ shape: [3, 1, 2], dtype: "bf16" }],
      attrs: { shape: [3, 4, 2], dims: [0, 1, 2] },
    },
    {
      name: "column",
      inputs: [{ shape: [6, 1], dtype: "f32" }],
      attrs: { shape: [2, 6, 9], dims: [1, 2] },
    },
  ],
});

export const broadcast = (b: Builder, x: Id, shape: Shape, dims: readonly number[]): Id =>
  sameShape(b.type(x).shape, shape) && dims.every((d, i) => d === i)
    ? x
    : b.emit(broadcastOp, [x], { shape, dims });
