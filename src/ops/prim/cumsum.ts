/** @file cumsum: running sums along one dim, with or without the element itself, from either end. */
import type { Id } from "../../ir/graph.ts";
import { rowMajorStrides } from "../../util/shapes.ts";
import type { Builder } from "../builder.ts";
import { at, expectDim, expectDtype, labelsOf, one } from "../check.ts";
import { defineOp } from "../define.ts";
import { wrap } from "../elementwise.ts";
import { refTensor } from "../reference.ts";

export type CumsumAttrs = {
  readonly dim: number;
  readonly exclusive: boolean;
  readonly reverse: boolean;
};

export const cumsumOp = defineOp<CumsumAttrs>({
  name: "cumsum",
  tier: "prim",
  doc: "Running sums along one dim.",
  infer(inputs, { dim }) {
    const x = one("cumsum", inputs);
    expectDtype("cumsum", "an operand", x, ["f32", "i32", "u32"]);
    expectDim("cumsum", x, dim);
    return [x];
  },
  reference(inputs, { dim, exclusive, reverse }) {
    const x = at(inputs, 0);
    const out = refTensor(x.shape, x.dtype);
    const step = at(rowMajorStrides(x.shape), dim);
    const size = at(x.shape, dim);
    for (let i = 0; i < x.data.length; i++) {
      const k = Math.floor(i / step) % size;
      if (k !== 0) continue;
      let sum = 0;
      for (let j = 0; j < size; j++) {
        const position = i + (reverse ? size - 1 - j : j) * step;
        const before = sum;
        sum = wrap(x.dtype, sum + at(x.data, position));
        out.data[position] = exclusive ? before : sum;
      }
    }
    return [out];
  },
  vjp(b, { attrs, cotangents }) {
    const dy = cotangents[0] ?? null;
    if (dy === null) return [null];
    return [cumsum(b, dy, attrs.dim, { exclusive: attrs.exclusive, reverse: !attrs.reverse })];
  },
  dims(inputs, { dim }) {
    const labels = labelsOf(one("cumsum", inputs).shape);
    return { labels: [labels, labels], whole: [at(labels, dim)] };
  },
  kernels: {
    cpu: {
      lower(node) {
        const { dim, exclusive, reverse } = node.attrs as CumsumAttrs;
        return { opcode: "cumsum", words: [dim, exclusive ? 1 : 0, reverse ? 1 : 0] };
      },
    },
  },
  samples: [false, true].flatMap((exclusive) =>
    [false, true].flatMap((reverse) => [
      {
        name: `last dim, exclusive ${exclusive}, reverse ${reverse}`,
        inputs: [{ shape: [5, 130], dtype: "f32" }],
        attrs: { dim: 1, exclusive, reverse },
      },
      {
        name: `inner dim, exclusive ${exclusive}, reverse ${reverse}`,
        inputs: [{ shape: [2, 17, 3], dtype: "i32", fill: "ids", max: 9 }],
        attrs: { dim: 1, exclusive, reverse },
      },
      {
        name: `first dim of many columns, exclusive ${exclusive}, reverse ${reverse}`,
        inputs: [{ shape: [90, 170], dtype: "f32" }],
        attrs: { dim: 0, exclusive, reverse },
      },
    ]),
  ),
});

export const cumsum = (
  b: Builder,
  x: Id,
  dim: number,
  options: { readonly exclusive?: boolean; readonly reverse?: boolean } = {},
): Id =>
  b.emit(cumsumOp, [x], {
    dim,
    exclusive: options.exclusive ?? false,
    reverse: options.reverse ?? false,
  });
