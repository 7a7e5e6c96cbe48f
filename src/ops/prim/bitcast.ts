/** @file bitcast: the same bits under another 4-byte dtype. */
import type { Id } from "../../ir/graph.ts";
import { type DType, isFloat } from "../../util/dtype.ts";
import type { Builder } from "../builder.ts";
import { at, expectDtype, labelsOf, one } from "../check.ts";
import { defineOp } from "../define.ts";
import { refTensor } from "../reference.ts";

export type BitcastAttrs = { readonly dtype: DType };

const WORDS: readonly DType[] = ["f32", "i32", "u32"];

const views = new ArrayBuffer(4);
const asWord = {
  f32: new Float32Array(views),
  i32: new Int32Array(views),
  u32: new Uint32Array(views),
};
const arrayOf = (dtype: DType) =>
  dtype === "f32" ? asWord.f32 : dtype === "i32" ? asWord.i32 : asWord.u32;

export const bitcastOp = defineOp<BitcastAttrs>({
  name: "bitcast",
  tier: "prim",
  doc: "The same bits under another 4-byte dtype.",
  infer(inputs, { dtype }) {
    const x = one("bitcast", inputs);
    expectDtype("bitcast", "an operand", x, WORDS);
    const result = { shape: x.shape, dtype };
    expectDtype("bitcast", "a result", result, WORDS);
    return [result];
  },
  reference(inputs, { dtype }) {
    const x = at(inputs, 0);
    const out = refTensor(x.shape, dtype);
    for (let i = 0; i < out.data.length; i++) {
      arrayOf(x.dtype)[0] = at(x.data, i);
      out.data[i] = at(arrayOf(dtype), 0);
    }
    return [out];
  },
  vjp: () => [null],
  dims(inputs) {
    const labels = labelsOf(one("bitcast", inputs).shape);
    return { labels: [labels, labels] };
  },
  map: (inputs, { dtype }) => (isFloat(at(inputs, 0).dtype) === isFloat(dtype) ? null : "bitcast"),
  kernels: {},
  samples: [
    { name: "f32 to u32", inputs: [{ shape: [5, 9], dtype: "f32" }], attrs: { dtype: "u32" } },
    {
      name: "u32 to i32",
      inputs: [{ shape: [40], dtype: "u32", fill: "ids", max: 2 ** 32 }],
      attrs: { dtype: "i32" },
    },
    {
      // Exponents of ordinary numbers, so that no NaN is compared.
      name: "i32 to f32",
      inputs: [{ shape: [3], dtype: "i32", values: [0x3f800000, 0x40490fdb, 0x3eaaaaab] }],
      attrs: { dtype: "f32" },
    },
  ],
});

export const bitcast = (b: Builder, x: Id, dtype: DType): Id =>
  b.type(x).dtype === dtype ? x : b.emit(bitcastOp, [x], { dtype });
