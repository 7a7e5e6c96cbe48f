/** @file iota: 0, 1, 2, ... along one dim, the same along the others. */
import type { Id } from "../../ir/graph.ts";
import type { DType } from "../../util/dtype.ts";
import { rowMajorStrides, type Shape } from "../../util/shapes.ts";
import type { Builder } from "../builder.ts";
import { at, expectCount, expectDim, expectDtype, expectSizes, labelsOf } from "../check.ts";
import { defineOp } from "../define.ts";
import { refTensor } from "../reference.ts";

export type IotaAttrs = { readonly shape: Shape; readonly dim: number; readonly dtype: DType };

export const iotaOp = defineOp<IotaAttrs>({
  name: "iota",
  tier: "prim",
  doc: "0, 1, 2, ... along one dim.",
  infer(inputs, { shape, dim, dtype }) {
    expectCount("iota", inputs, 0);
    expectSizes("iota", shape);
    const type = { shape, dtype };
    expectDim("iota", type, dim);
    expectDtype("iota", "a result", type, ["i32", "u32", "f32"]);
    return [type];
  },
  reference(_, { shape, dim, dtype }) {
    const out = refTensor(shape, dtype);
    const step = at(rowMajorStrides(shape), dim);
    const size = at(shape, dim);
    for (let i = 0; i < out.data.length; i++) out.data[i] = Math.floor(i / step) % size;
    return [out];
  },
  vjp: null,
  dims(_, { shape, dim }) {
    const labels = labelsOf(shape);
    return { labels: [labels], whole: [at(labels, dim)] };
  },
  kernels: {
    cpu: {
      lower: (node) => ({ opcode: "iota", words: [(node.attrs as IotaAttrs).dim] }),
    },
  },
  samples: [
    { name: "vector", inputs: [], attrs: { shape: [1000], dim: 0, dtype: "i32" } },
    { name: "rows", inputs: [], attrs: { shape: [5, 7, 3], dim: 1, dtype: "u32" } },
    { name: "outer", inputs: [], attrs: { shape: [5, 70], dim: 0, dtype: "f32" } },
  ],
});

export const iota = (b: Builder, shape: Shape, dim: number, dtype: DType): Id =>
  b.emit(iotaOp, [], { shape, dim, dtype });
