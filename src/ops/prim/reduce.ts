/** @file reduce: sum or max over dims, which are removed; several equal maxima share the gradient evenly. */
import type { Id } from "../../ir/graph.ts";
import { rowMajorStrides, type Shape } from "../../util/shapes.ts";
import type { Builder } from "../builder.ts";
import { at, expectDim, expectDtype, fail, labelsOf, NUMBERS, one } from "../check.ts";
import { defineOp } from "../define.ts";
import { wrap } from "../elementwise.ts";
import { type RefTensor, refTensor } from "../reference.ts";
import { readWindow } from "../strided.ts";
import { broadcast } from "./broadcast.ts";
import { cast } from "./cast.ts";
import { compare } from "./compare.ts";
import { div } from "./div.ts";
import { mul } from "./mul.ts";

export type Reduction = "sum" | "max";
export type ReduceAttrs = { readonly kind: Reduction; readonly dims: readonly number[] };

const keptDims = (shape: Shape, dims: readonly number[]): number[] =>
  shape.map((_, d) => d).filter((d) => !dims.includes(d));

/** The kept dims first, so that each result is one run of `length` elements. */
function reference(x: RefTensor, { kind, dims }: ReduceAttrs, out: RefTensor): void {
  const order = [...keptDims(x.shape, dims), ...dims];
  const strides = rowMajorStrides(x.shape);
  const shape = order.map((d) => at(x.shape, d));
  const runs = readWindow(
    x.data,
    shape,
    order.map((d) => at(strides, d)),
  );
  const length = runs.length / out.data.length;
  for (let i = 0; i < out.data.length; i++) {
    let total = kind === "sum" ? 0 : -Infinity;
    for (let k = 0; k < length; k++) {
      const value = at(runs, i * length + k);
      total = kind === "sum" ? total + value : Math.max(total, value);
    }
    out.data[i] = wrap(x.dtype, total);
  }
}

export const reduceOp = defineOp<ReduceAttrs>({
  name: "reduce",
  tier: "prim",
  doc: "Sum or max over dims, which are removed.",
  infer(inputs, { kind, dims }) {
    const x = one("reduce", inputs);
    expectDtype("reduce", "an operand", x, NUMBERS);
    if (kind !== "sum" && kind !== "max") fail("reduce", "sum or max", `${kind}`);
    dims.forEach((d, i) => {
      expectDim("reduce", x, d);
      if (i > 0 && d <= at(dims, i - 1)) fail("reduce", "ascending dims", `[${dims.join(",")}]`);
    });
    return [{ shape: keptDims(x.shape, dims).map((d) => at(x.shape, d)), dtype: x.dtype }];
  },
  reference(inputs, attrs, types) {
    const out = refTensor(at(types, 0).shape, at(types, 0).dtype);
    reference(at(inputs, 0), attrs, out);
    return [out];
  },
  vjp(b, { inputs, outputs, attrs, cotangents }) {
    const dy = cotangents[0] ?? null;
    if (dy === null) return [null];
    const x = at(inputs, 0);
    const { shape } = b.type(x);
    const kept = keptDims(shape, attrs.dims);
    if (attrs.kind === "sum") return [broadcast(b, dy, shape, kept)];
    const largest = broadcast(b, at(outputs, 0), shape, kept);
    const hits = cast(b, compare(b, x, largest, "eq"), "f32");
    const share = div(b, dy, reduce(b, hits, "sum", attrs.dims));
    return [mul(b, hits, broadcast(b, share, shape, kept))];
  },
  dims(inputs, { dims }) {
    const { shape } = one("reduce", inputs);
    const labels = labelsOf(shape);
    return { labels: [labels, keptDims(shape, dims).map((d) => at(labels, d))] };
  },
  kernels: {},
  samples: (["sum", "max"] as const).flatMap((kind) => [
    {
      name: `${kind} rows`,
      inputs: [{ shape: [5, 300], dtype: "f32" }],
      attrs: { kind, dims: [1] },
    },
    {
      name: `${kind} columns`,
      inputs: [{ shape: [70, 33], dtype: "f32" }],
      attrs: { kind, dims: [0] },
    },
    {
      name: `${kind} all`,
      inputs: [{ shape: [3, 41, 17], dtype: "f32" }],
      attrs: { kind, dims: [0, 1, 2] },
    },
    {
      name: `${kind} middle bf16`,
      inputs: [{ shape: [3, 19, 5], dtype: "bf16" }],
      attrs: { kind, dims: [1] },
    },
    {
      name: `${kind} outer and inner`,
      inputs: [{ shape: [3, 4, 5], dtype: "f32" }],
      attrs: { kind, dims: [0, 2] },
    },
    {
      name: `${kind} many rows`,
      inputs: [{ shape: [700, 60], dtype: "f32" }],
      attrs: { kind, dims: [1] },
    },
    {
      name: `${kind} many columns`,
      inputs: [{ shape: [700, 60], dtype: "f32" }],
      attrs: { kind, dims: [0] },
    },
    {
      name: `${kind} long`,
      inputs: [{ shape: [40000], dtype: "f32" }],
      attrs: { kind, dims: [0] },
    },
    {
      name: `${kind} i32`,
      inputs: [{ shape: [9, 20], dtype: "i32", fill: "ids", max: 50 }],
      attrs: { kind, dims: [1] },
    },
  ]),
});

export const reduce = (b: Builder, x: Id, kind: Reduction, dims: readonly number[]): Id =>
  dims.length === 0 ? x : b.emit(reduceOp, [x], { kind, dims: dims.toSorted((p, q) => p - q) });
