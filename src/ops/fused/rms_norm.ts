/** @file Root mean square normalisation over the last dim; 1/rms of each row is a result because the gradient needs it. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { labelsOf } from "../check.ts";
import { defineOp, type Sample } from "../define.ts";
import { cast } from "../prim/cast.ts";
import { mul } from "../prim/mul.ts";
import { rsqrt } from "../prim/rsqrt.ts";
import { stopGradient } from "../prim/stop_gradient.ts";
import { acrossRows, alongRows, f32, plus, rowMean, shapeOf } from "./compose.ts";
import {
  expectF32,
  expectInputs,
  expectPositive,
  expectRows,
  lastSize,
  leadingShape,
} from "./expect.ts";
import { firsts } from "./operands.ts";
import { expectStorage, type Storage } from "./precision.ts";
import { rmsNormGrad } from "./rms_norm_grad.ts";
import { flat, matrix } from "./views.ts";

type RmsNormAttrs = { readonly eps: number; readonly out?: Storage };

export const rmsNormOp = defineOp<RmsNormAttrs>({
  name: "rms_norm",
  tier: "fused",
  doc: "x / sqrt(mean(x^2) + eps) * weight over the last dim; also 1/rms of each row",
  infer(inputs, { eps, out }) {
    expectInputs("rms_norm", inputs, 2);
    const [x, weight] = firsts(inputs, 2);
    expectRows("rms_norm", "x", x);
    expectF32("rms_norm", "weight", weight, [lastSize(x.shape)]);
    expectPositive("rms_norm", "eps", eps);
    expectStorage("rms_norm", out);
    return [
      { shape: x.shape, dtype: out ?? x.dtype },
      { shape: leadingShape(x.shape), dtype: "f32" },
    ];
  },
  decompose(b, inputs, { eps, out }) {
    const [x, weight] = firsts(inputs, 2);
    const shape = shapeOf(b, x);
    const x32 = f32(b, x);
    const rstd = rsqrt(b, plus(b, rowMean(b, mul(b, x32, x32)), eps));
    const y = mul(b, mul(b, x32, alongRows(b, rstd, shape)), acrossRows(b, weight, shape));
    return [cast(b, y, out ?? b.type(x).dtype), stopGradient(b, rstd)];
  },
  vjp(b, { inputs, outputs, cotangents }) {
    const [x, weight] = firsts(inputs, 2);
    const [, rstd] = firsts(outputs, 2);
    const dy = cotangents[0] ?? null;
    if (dy === null) return [null, null];
    const { dx, dweight } = rmsNormGrad(b, x, weight, rstd, dy);
    return [dx, dweight];
  },
  dims(inputs) {
    const [x] = firsts(inputs, 1);
    const rows = labelsOf(leadingShape(x.shape), "r");
    return { labels: [[...rows, "c"], ["c"], [...rows, "c"], rows], whole: ["c"] };
  },
  kernels: {
    cpu: {
      lower(node, inputs, outputs) {
        const [x, weight] = firsts(inputs, 2);
        const [y, rstd] = firsts(outputs, 2);
        const { eps } = node.attrs as RmsNormAttrs;
        return {
          opcode: "rms_norm",
          words: [{ f32: eps }],
          inputs: [matrix(x), weight],
          outputs: [matrix(y), flat(rstd)],
        };
      },
    },
  },
  samples: [
    sample("plain", [4, 8], { eps: 1e-6 }),
    sample("odd", [3, 5, 33], { eps: 1e-5 }),
    sample("vector", [7], { eps: 1e-3 }),
    sample("wide", [5, 1025], { eps: 1e-6 }),
    sample("many_rows", [2, 67, 16], { eps: 1e-6 }),
    sample("bf16", [6, 40], { eps: 1e-6 }, "bf16"),
    sample("f32_to_bf16", [6, 19], { eps: 1e-6, out: "bf16" }),
  ],
});

function sample(
  name: string,
  shape: readonly number[],
  attrs: RmsNormAttrs,
  dtype: Storage = "f32",
): Sample<RmsNormAttrs> {
  return {
    name,
    attrs,
    inputs: [
      { shape, dtype },
      { shape: [lastSize(shape)], dtype: "f32" },
    ],
  };
}

export function rmsNorm(b: Builder, x: Id, weight: Id, eps: number, out?: Storage): Id {
  return b.emit(rmsNormOp, [x, weight], out === undefined ? { eps } : { eps, out });
}
