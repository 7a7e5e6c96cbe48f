/** @file cast: the same numbers in another dtype; towards zero for integers, non-zero is true for bool. */
import type { Id } from "../../ir/graph.ts";
import { DTYPES, type DType, isFloat } from "../../util/dtype.ts";
import type { Builder } from "../builder.ts";
import { at, fail, labelsOf, one } from "../check.ts";
import { defineOp, type Sample } from "../define.ts";
import { refTensor } from "../reference.ts";

export type CastAttrs = { readonly dtype: DType };

/** Integers saturate, NaN becomes 0. */
function convert(value: number, to: DType): number {
  if (to === "bool") return value !== 0 ? 1 : 0;
  if (isFloat(to)) return value;
  if (Number.isNaN(value)) return 0;
  const whole = Math.trunc(value);
  return to === "i32"
    ? Math.min(Math.max(whole, -(2 ** 31)), 2 ** 31 - 1)
    : Math.min(Math.max(whole, 0), 2 ** 32 - 1);
}

function convertInteger(value: number, to: DType): number {
  if (to === "i32") return value | 0;
  if (to === "u32") return value >>> 0;
  return convert(value, to);
}

function sample(from: DType, to: DType): Sample<CastAttrs> {
  const shape = [3, 43];
  const fill = from === "bool" ? "mask" : isFloat(from) ? "normal" : "ids";
  // Negative numbers have no defined u32, so casts from float to u32 draw positive ones.
  const sound = isFloat(from) && to === "u32" ? "positive" : fill;
  return {
    name: `${from} to ${to}`,
    inputs: [{ shape, dtype: from, fill: sound, max: 1000 }],
    attrs: { dtype: to },
  };
}

export const castOp = defineOp<CastAttrs>({
  name: "cast",
  tier: "prim",
  doc: "The same numbers in another dtype.",
  infer(inputs, attrs) {
    const x = one("cast", inputs);
    if (!DTYPES.includes(attrs.dtype))
      fail("cast", `a dtype of ${DTYPES.join(", ")}`, `${attrs.dtype}`);
    return [{ shape: x.shape, dtype: attrs.dtype }];
  },
  reference(inputs, attrs) {
    const x = at(inputs, 0);
    const out = refTensor(x.shape, attrs.dtype);
    const to = isFloat(x.dtype) ? convert : convertInteger;
    for (let i = 0; i < out.data.length; i++) out.data[i] = to(at(x.data, i), attrs.dtype);
    return [out];
  },
  // Cotangents are f32 on both sides of a float cast, so it passes them through.
  vjp: (_, { cotangents, wanted }) => [wanted[0] ? (cotangents[0] ?? null) : null],
  dims(inputs) {
    const labels = labelsOf(one("cast", inputs).shape);
    return { labels: [labels, labels] };
  },
  map(inputs, attrs) {
    const from = at(inputs, 0).dtype;
    const to = attrs.dtype;
    if (from === to || (isFloat(from) && isFloat(to))) return null;
    if (to === "bool") return isFloat(from) ? "to_bool_f" : "to_bool_i";
    if (isFloat(from)) return to === "i32" ? "f_to_i" : "f_to_u";
    if (isFloat(to)) return from === "u32" ? "u_to_f" : "i_to_f";
    return null;
  },
  kernels: {},
  samples: DTYPES.flatMap((from) =>
    DTYPES.filter((to) => to !== from).map((to) => sample(from, to)),
  ),
});

export function cast(b: Builder, x: Id, dtype: DType): Id {
  return b.type(x).dtype === dtype ? x : b.emit(castOp, [x], { dtype });
}
