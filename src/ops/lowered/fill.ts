/** @file fill: a tensor of one value. What a constant becomes where it cannot be an immediate of a `map`. */
import type { DType } from "../../util/dtype.ts";
import { at } from "../check.ts";
import { defineOp } from "../define.ts";
import type { Word } from "../kernel.ts";
import { refTensor } from "../reference.ts";
import { bitsOfFloat } from "./map_ops.ts";

export type FillAttrs = {
  readonly value: number;
  readonly shape: readonly number[];
  readonly dtype: DType;
};

/** Round to nearest even; infinities stay, NaN does not occur. */
export function bf16Bits(value: number): number {
  const bits = bitsOfFloat(value);
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

export function fillWord(value: number, dtype: DType): Word {
  if (dtype === "f32") return { f32: value };
  if (dtype === "bf16") return bf16Bits(value);
  return dtype === "bool" ? Number(value !== 0) : value >>> 0;
}

export const fillLoweredOp = defineOp<FillAttrs>({
  name: "fill",
  tier: "lowered",
  doc: "A tensor of one value.",
  infer: (_inputs, { shape, dtype }) => [{ shape, dtype }],
  reference(_inputs, { value, shape, dtype }) {
    const out = refTensor(shape, dtype);
    out.data.fill(value);
    return [out];
  },
  kernels: {
    cpu: {
      lower(node, _inputs, outputs) {
        const { value, dtype } = node.attrs as FillAttrs;
        const view = at(outputs, 0);
        const count = view.shape.reduce((n, size) => n * size, 1);
        return {
          opcode: "fill",
          words: [fillWord(value, dtype)],
          outputs: [{ ...view, shape: [count], strides: [1] }],
        };
      },
    },
  },
  samples: [
    { name: "half", inputs: [], attrs: { value: 0.5, shape: [3, 5], dtype: "f32" } },
    { name: "negative", inputs: [], attrs: { value: -3, shape: [7], dtype: "i32" } },
  ],
});
