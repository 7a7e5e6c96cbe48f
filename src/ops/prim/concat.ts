/** @file concat: tensors one after the other along one dim. */
import type { Id } from "../../ir/graph.ts";
import { typeText } from "../../ir/text.ts";
import { rowMajorStrides } from "../../util/shapes.ts";
import type { Builder } from "../builder.ts";
import { at, expectDim, fail, labelsOf } from "../check.ts";
import { defineOp } from "../define.ts";
import { refTensor } from "../reference.ts";
import { writeWindow } from "../strided.ts";
import { slice } from "./slice.ts";

export type ConcatAttrs = { readonly dim: number };

export const concatOp = defineOp<ConcatAttrs>({
  name: "concat",
  tier: "prim",
  doc: "Tensors one after the other along one dim.",
  infer(inputs, { dim }) {
    const first = inputs[0];
    if (first === undefined) return fail("concat", "at least one operand", "none");
    expectDim("concat", first, dim);
    let size = 0;
    for (const x of inputs) {
      const fits =
        x.dtype === first.dtype &&
        x.shape.length === first.shape.length &&
        x.shape.every((n, d) => d === dim || n === at(first.shape, d));
      if (!fits) {
        fail("concat", `operands like ${typeText(first)} but for dim ${dim}`, typeText(x));
      }
      size += at(x.shape, dim);
    }
    return [{ shape: first.shape.with(dim, size), dtype: first.dtype }];
  },
  reference(inputs, { dim }, types) {
    const { shape, dtype } = at(types, 0);
    const out = refTensor(shape, dtype);
    const strides = rowMajorStrides(shape);
    let start = 0;
    for (const x of inputs) {
      writeWindow(out.data, x.shape, strides, start * at(strides, dim), x.data);
      start += at(x.shape, dim);
    }
    return [out];
  },
  vjp(b, { inputs, attrs, cotangents, wanted }) {
    const dy = cotangents[0] ?? null;
    let start = 0;
    return inputs.map((id, i) => {
      const { shape } = b.type(id);
      const from = start;
      start += at(shape, attrs.dim);
      if (dy === null || !wanted[i]) return null;
      const starts = shape.map((_, d) => (d === attrs.dim ? from : 0));
      return slice(
        b,
        dy,
        starts,
        shape.map((n, d) => at(starts, d) + n),
      );
    });
  },
  dims(inputs, { dim }) {
    const labels = labelsOf(at(inputs, 0).shape);
    return { labels: [...inputs, null].map(() => labels), whole: [at(labels, dim)] };
  },
  kernels: {},
  samples: [
    {
      name: "columns",
      inputs: [4, 1, 7].map((n) => ({ shape: [5, n], dtype: "f32" as const })),
      attrs: { dim: 1 },
    },
    {
      name: "rows",
      inputs: [2, 3].map((n) => ({ shape: [n, 3, 4], dtype: "bf16" as const })),
      attrs: { dim: 0 },
    },
    {
      name: "same operand size in the middle",
      inputs: [2, 2, 2].map((n) => ({ shape: [3, n, 4], dtype: "f32" as const })),
      attrs: { dim: 1 },
    },
  ],
});

export function concat(b: Builder, xs: readonly Id[], dim: number): Id {
  const [first, ...rest] = xs;
  return first !== undefined && rest.length === 0 ? first : b.emit(concatOp, xs, { dim });
}
