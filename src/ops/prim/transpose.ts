/** @file transpose: result dim i is input dim perm[i]. */
import type { Id } from "../../ir/graph.ts";
import { rowMajorStrides } from "../../util/shapes.ts";
import type { Builder } from "../builder.ts";
import { at, fail, labelsOf, one } from "../check.ts";
import { defineOp } from "../define.ts";
import { readWindow } from "../strided.ts";

export type TransposeAttrs = { readonly perm: readonly number[] };

/** `inverse(p)[p[i]] = i`. */
export function inversePermutation(perm: readonly number[]): number[] {
  const inverse = new Array<number>(perm.length).fill(0);
  perm.forEach((from, to) => {
    inverse[from] = to;
  });
  return inverse;
}

export const isIdentity = (perm: readonly number[]): boolean => perm.every((d, i) => d === i);

const isPermutation = (perm: readonly number[], rank: number): boolean =>
  perm.length === rank && isIdentity(perm.toSorted((a, b) => a - b));

export const transposeOp = defineOp<TransposeAttrs>({
  name: "transpose",
  tier: "prim",
  doc: "Result dim i is input dim perm[i].",
  infer(inputs, { perm }) {
    const x = one("transpose", inputs);
    if (!isPermutation(perm, x.shape.length)) {
      fail("transpose", `a permutation of ${x.shape.length} dims`, `[${perm.join(",")}]`);
    }
    return [{ shape: perm.map((d) => at(x.shape, d)), dtype: x.dtype }];
  },
  reference(inputs, { perm }) {
    const x = at(inputs, 0);
    const strides = rowMajorStrides(x.shape);
    const shape = perm.map((d) => at(x.shape, d));
    const window = perm.map((d) => at(strides, d));
    return [{ shape, dtype: x.dtype, data: readWindow(x.data, shape, window) }];
  },
  vjp(b, { attrs, cotangents }) {
    const dy = cotangents[0] ?? null;
    return [dy === null ? null : transpose(b, dy, inversePermutation(attrs.perm))];
  },
  dims(inputs, { perm }) {
    const labels = labelsOf(one("transpose", inputs).shape);
    return { labels: [labels, perm.map((d) => at(labels, d))] };
  },
  kernels: {},
  samples: [
    { name: "matrix", inputs: [{ shape: [33, 65], dtype: "f32" }], attrs: { perm: [1, 0] } },
    {
      name: "heads",
      inputs: [{ shape: [2, 5, 3, 8], dtype: "f32" }],
      attrs: { perm: [0, 2, 1, 3] },
    },
    { name: "bf16", inputs: [{ shape: [3, 5, 7], dtype: "bf16" }], attrs: { perm: [2, 0, 1] } },
    {
      name: "bool",
      inputs: [{ shape: [9, 4], dtype: "bool", fill: "mask" }],
      attrs: { perm: [1, 0] },
    },
    { name: "large", inputs: [{ shape: [150, 170], dtype: "f32" }], attrs: { perm: [1, 0] } },
    {
      name: "large bf16",
      inputs: [{ shape: [3, 90, 130], dtype: "bf16" }],
      attrs: { perm: [0, 2, 1] },
    },
  ],
});

export const transpose = (b: Builder, x: Id, perm: readonly number[]): Id =>
  isIdentity(perm) && perm.length === b.type(x).shape.length
    ? x
    : b.emit(transposeOp, [x], { perm });
