/**
 * @file Layer normalisation over the last dim. Mean and 1/deviation of each row are results because the gradient needs
 * them; they carry no gradient themselves.
 */
import type { Id, TensorType } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { labelsOf } from "../check.ts";
import { defineOp, type Sample } from "../define.ts";
import { add } from "../prim/add.ts";
import { cast } from "../prim/cast.ts";
import { mul } from "../prim/mul.ts";
import { rsqrt } from "../prim/rsqrt.ts";
import { stopGradient } from "../prim/stop_gradient.ts";
import { sub } from "../prim/sub.ts";
import { acrossRows, alongRows, f32, plus, rowMean, shapeOf } from "./compose.ts";
import {
  expectF32,
  expectInputs,
  expectPositive,
  expectRows,
  lastSize,
  leadingShape,
} from "./expect.ts";
import { layerNormGrad } from "./layer_norm_grad.ts";
import { firsts } from "./operands.ts";
import { expectStorage, type Storage } from "./precision.ts";
import { flat, matrix } from "./views.ts";

type LayerNormAttrs = { readonly eps: number; readonly out?: Storage };

export const layerNormOp = defineOp<LayerNormAttrs>({
  name: "layer_norm",
  tier: "fused",
  doc: "(x - mean) / sqrt(variance + eps) * weight (+ bias); also the mean and 1/deviation of rows",
  infer(inputs, { eps, out }) {
    expectInputs("layer_norm", inputs, 2, 3);
    const [x, weight] = firsts(inputs, 2);
    const bias = inputs[2];
    expectRows("layer_norm", "x", x);
    const features = [lastSize(x.shape)];
    expectF32("layer_norm", "weight", weight, features);
    if (bias !== undefined) expectF32("layer_norm", "bias", bias, features);
    expectPositive("layer_norm", "eps", eps);
    expectStorage("layer_norm", out);
    const row: TensorType = { shape: leadingShape(x.shape), dtype: "f32" };
    return [{ shape: x.shape, dtype: out ?? x.dtype }, row, row];
  },
  decompose(b, inputs, { eps, out }) {
    const [x, weight] = firsts(inputs, 2);
    const bias = inputs[2];
    const shape = shapeOf(b, x);
    const x32 = f32(b, x);
    const mean = rowMean(b, x32);
    const centred = sub(b, x32, alongRows(b, mean, shape));
    const rstd = rsqrt(b, plus(b, rowMean(b, mul(b, centred, centred)), eps));
    const normal = mul(b, centred, alongRows(b, rstd, shape));
    const scaled = mul(b, normal, acrossRows(b, weight, shape));
    const y = bias === undefined ? scaled : add(b, scaled, acrossRows(b, bias, shape));
    return [cast(b, y, out ?? b.type(x).dtype), stopGradient(b, mean), stopGradient(b, rstd)];
  },
  vjp(b, { inputs, outputs, cotangents }) {
    const [x, weight] = firsts(inputs, 2);
    const [, mean, rstd] = firsts(outputs, 3);
    const dy = cotangents[0] ?? null;
    if (dy === null) return inputs.map(() => null);
    const hasBias = inputs.length === 3;
    const { dx, dweight, dbias } = layerNormGrad(b, x, weight, mean, rstd, dy, hasBias);
    return hasBias ? [dx, dweight, dbias] : [dx, dweight];
  },
  dims(inputs) {
    const [x] = firsts(inputs, 1);
    const rows = labelsOf(leadingShape(x.shape), "r");
    const vectors = inputs.slice(1).map(() => ["c"]);
    return { labels: [[...rows, "c"], ...vectors, [...rows, "c"], rows, rows], whole: ["c"] };
  },
  kernels: {
    cpu: {
      lower(node, inputs, outputs) {
        const [x] = firsts(inputs, 1);
        const [y, mean, rstd] = firsts(outputs, 3);
        const { eps } = node.attrs as LayerNormAttrs;
        return {
          opcode: "layer_norm",
          words: [{ f32: eps }, inputs.length - 2],
          inputs: [matrix(x), ...inputs.slice(1)],
          outputs: [matrix(y), flat(mean), flat(rstd)],
        };
      },
    },
  },
  samples: [
    sample("plain", [4, 8], true, { eps: 1e-5 }),
    sample("without_bias", [3, 5, 33], false, { eps: 1e-5 }),
    sample("vector", [7], true, { eps: 1e-3 }),
    sample("wide", [5, 1025], true, { eps: 1e-5 }),
    sample("many_rows", [2, 67, 16], true, { eps: 1e-6 }),
    sample("bf16", [6, 40], true, { eps: 1e-5 }, "bf16"),
    sample("f32_to_bf16", [6, 19], true, { eps: 1e-5, out: "bf16" }),
  ],
});

function sample(
  name: string,
  shape: readonly number[],
  hasBias: boolean,
  attrs: LayerNormAttrs,
  dtype: Storage = "f32",
): Sample<LayerNormAttrs> {
  const vector = { shape: [lastSize(shape)], dtype: "f32" } as const;
  return { name, attrs, inputs: [{ shape, dtype }, vector, ...(hasBias ? [vector] : [])] };
}

export function layerNorm(
  b: Builder,
  x: Id,
  weight: Id,
  bias: Id | null,
  eps: number,
  out?: Storage,
): Id {
  const attrs = out === undefined ? { eps } : { eps, out };
  return b.emit(layerNormOp, bias === null ? [x, weight] : [x, weight, bias], attrs);
}
