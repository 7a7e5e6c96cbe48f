/** @file reshape: the same elements in row-major order under another shape. */
import type { Id } from "../../ir/graph.ts";
import { elementCount, type Shape, sameShape, shapeText } from "../../util/shapes.ts";
import type { Builder } from "../builder.ts";
import { at, expectSizes, fail, one } from "../check.ts";
import { defineOp } from "../define.ts";

export type ReshapeAttrs = { readonly shape: Shape };

/**
 * Dims fall into groups of equal size on both sides. The first dim of a group may be split (if both sides divide, the
 * parts hold the same elements), the others of a group of several may not.
 */
function groupLabels(from: Shape, to: Shape) {
  const sides = [from, to] as const;
  const labels: [string[], string[]] = [[], []];
  const whole: string[] = [];
  const next: [number, number] = [0, 0];
  for (let group = 0; next[0] < from.length || next[1] < to.length; group++) {
    const size: [number, number] = [1, 1];
    const start: [number, number] = [...next];
    const take = (side: 0 | 1) => {
      const first = next[side] === start[side];
      const label = first ? `g${group}` : `g${group}.${side}.${next[side]}`;
      if (!first) whole.push(label);
      labels[side].push(label);
      size[side] *= at(sides[side], next[side]);
      next[side]++;
    };
    if (next[0] < from.length) take(0);
    if (next[1] < to.length) take(1);
    while (size[0] !== size[1]) take(size[0] < size[1] ? 0 : 1);
  }
  return { labels, whole };
}

export const reshapeOp = defineOp<ReshapeAttrs>({
  name: "reshape",
  tier: "prim",
  doc: "The same elements under another shape.",
  infer(inputs, { shape }) {
    const x = one("reshape", inputs);
    expectSizes("reshape", shape);
    const count = elementCount(x.shape);
    if (elementCount(shape) !== count) {
      fail("reshape", `a shape of ${count} elements for ${shapeText(x.shape)}`, shapeText(shape));
    }
    return [{ shape, dtype: x.dtype }];
  },
  reference(inputs, { shape }) {
    const x = at(inputs, 0);
    return [{ shape, dtype: x.dtype, data: x.data }];
  },
  vjp(b, { inputs, cotangents }) {
    const dy = cotangents[0] ?? null;
    return [dy === null ? null : reshape(b, dy, b.type(at(inputs, 0)).shape)];
  },
  dims: (inputs, { shape }) => groupLabels(one("reshape", inputs).shape, shape),
  kernels: {},
  samples: [
    { name: "split", inputs: [{ shape: [6, 8], dtype: "f32" }], attrs: { shape: [6, 2, 4] } },
    { name: "merge", inputs: [{ shape: [3, 5, 2], dtype: "bf16" }], attrs: { shape: [15, 2] } },
    { name: "to scalar", inputs: [{ shape: [1, 1], dtype: "f32" }], attrs: { shape: [] } },
    { name: "across", inputs: [{ shape: [4, 6], dtype: "f32" }], attrs: { shape: [6, 4] } },
  ],
});

export const reshape = (b: Builder, x: Id, shape: Shape): Id =>
  sameShape(b.type(x).shape, shape) ? x : b.emit(reshapeOp, [x], { shape });
