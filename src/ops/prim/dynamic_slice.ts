/** @file dynamic_slice: a window of fixed sizes whose start is data. A window outside is an error. */
import type { Id } from "../../ir/graph.ts";
import { typeText } from "../../ir/text.ts";
import { rowMajorStrides } from "../../util/shapes.ts";
import type { Builder } from "../builder.ts";
import {
  at,
  expectDtype,
  expectPerDim,
  expectShape,
  fail,
  INDICES,
  labelsOf,
  two,
} from "../check.ts";
import { defineOp } from "../define.ts";
import type { RefTensor } from "../reference.ts";
import { positionOf, readWindow } from "../strided.ts";
import { constant } from "./const.ts";
import { dynamicUpdate } from "./dynamic_update.ts";

export type DynamicSliceAttrs = { readonly sizes: readonly number[] };

/** Position of the window's first element; throws when the window leaves the tensor, as kernels do. */
export function windowPosition(
  op: string,
  shape: readonly number[],
  sizes: readonly number[],
  starts: RefTensor,
): number {
  const from = Array.from(starts.data);
  from.forEach((start, d) => {
    const last = at(shape, d) - at(sizes, d);
    if (start < 0 || start > last) fail(op, `starts in [0, ${last}] in dim ${d}`, `${start}`);
  });
  return positionOf(from, rowMajorStrides(shape));
}

/** Labels of a tensor and a window of it: dims that the window cuts may not be split. */
export function windowLabels(shape: readonly number[], sizes: readonly number[]) {
  const labels = labelsOf(shape);
  return { labels, whole: labels.filter((_, d) => sizes[d] !== shape[d]) };
}

export const dynamicSliceOp = defineOp<DynamicSliceAttrs>({
  name: "dynamic_slice",
  tier: "prim",
  doc: "A window of fixed sizes whose start is data.",
  infer(inputs, { sizes }) {
    const [x, starts] = two("dynamic_slice", inputs);
    expectDtype("dynamic_slice", "starts", starts, INDICES);
    expectShape("dynamic_slice", "starts", starts, [x.shape.length]);
    expectPerDim("dynamic_slice", "sizes", sizes, x);
    if (!sizes.every((size, d) => size >= 1 && size <= at(x.shape, d))) {
      fail("dynamic_slice", `sizes within ${typeText(x)}`, `[${sizes.join(",")}]`);
    }
    return [{ shape: sizes, dtype: x.dtype }];
  },
  reference(inputs, { sizes }) {
    const x = at(inputs, 0);
    const offset = windowPosition("dynamic_slice", x.shape, sizes, at(inputs, 1));
    const data = readWindow(x.data, sizes, rowMajorStrides(x.shape), offset);
    return [{ shape: sizes, dtype: x.dtype, data }];
  },
  vjp(b, { inputs, cotangents, wanted }) {
    const dy = cotangents[0] ?? null;
    if (dy === null || !wanted[0]) return [null, null];
    const zeros = constant(b, 0, b.type(at(inputs, 0)).shape, "f32");
    return [dynamicUpdate(b, zeros, dy, at(inputs, 1)), null];
  },
  dims(inputs, { sizes }) {
    const [x] = two("dynamic_slice", inputs);
    const { labels, whole } = windowLabels(x.shape, sizes);
    return { labels: [labels, ["start"], labels], whole: [...whole, "start"] };
  },
  kernels: { cpu: { lower: () => ({ opcode: "dynamic_slice", words: [] }) } },
  samples: [
    {
      name: "rows",
      inputs: [
        { shape: [9, 33], dtype: "f32" },
        { shape: [2], dtype: "i32", values: [4, 0] },
      ],
      attrs: { sizes: [5, 33] },
    },
    {
      name: "box bf16",
      inputs: [
        { shape: [4, 5, 6], dtype: "bf16" },
        { shape: [3], dtype: "u32", values: [1, 2, 0] },
      ],
      attrs: { sizes: [2, 3, 4] },
    },
  ],
});

export const dynamicSlice = (b: Builder, x: Id, starts: Id, sizes: readonly number[]): Id =>
  b.emit(dynamicSliceOp, [x, starts], { sizes });
