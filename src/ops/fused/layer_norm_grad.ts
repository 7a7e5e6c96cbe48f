/** @file Gradient of `layer_norm`; can add the gradient that bypasses the norm (the residual stream's) on the way. */
import type { Id, TensorType } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { labelsOf } from "../check.ts";
import { defineOp, type Sample } from "../define.ts";
import { add } from "../prim/add.ts";
import { cast } from "../prim/cast.ts";
import { get } from "../prim/get.ts";
import { mul } from "../prim/mul.ts";
import { sub } from "../prim/sub.ts";
import { acrossRows, alongRows, columnSum, f32, rowCount, rowMean, shapeOf } from "./compose.ts";
import {
  expectF32,
  expectFloat,
  expectInputs,
  expectRows,
  lastSize,
  leadingShape,
} from "./expect.ts";
import { firsts } from "./operands.ts";
import { expectStorage, type Storage, wideOnCpu } from "./precision.ts";
import { flat, matrix } from "./views.ts";
import { partialSumBytes } from "./workspace.ts";

type LayerNormGradAttrs = {
  readonly hasBias: boolean;
  /** Of dx; absent: f32. */
  readonly out?: Storage;
};

export const layerNormGradOp = defineOp<LayerNormGradAttrs>({
  name: "layer_norm_grad",
  tier: "fused",
  doc: "dx (+ residual gradient, input 5), dweight and dbias of layer_norm",
  infer(inputs, { hasBias, out }) {
    expectInputs("layer_norm_grad", inputs, 5, 6);
    const [x, weight, mean, rstd, dy] = firsts(inputs, 5);
    const residual = inputs[5];
    expectRows("layer_norm_grad", "x", x);
    const vector: TensorType = { shape: [lastSize(x.shape)], dtype: "f32" };
    expectF32("layer_norm_grad", "weight", weight, vector.shape);
    expectF32("layer_norm_grad", "mean", mean, leadingShape(x.shape));
    expectF32("layer_norm_grad", "rstd", rstd, leadingShape(x.shape));
    expectFloat("layer_norm_grad", "dy", dy, x.shape);
    if (residual !== undefined) expectFloat("layer_norm_grad", "residual", residual, x.shape);
    expectStorage("layer_norm_grad", out);
    return [{ shape: x.shape, dtype: out ?? "f32" }, vector, ...(hasBias ? [vector] : [])];
  },
  decompose(b, inputs, { hasBias, out }) {
    const [x, weight, mean, rstd, dyStored] = firsts(inputs, 5);
    const dy = f32(b, dyStored);
    const residual = inputs[5];
    const shape = shapeOf(b, x);
    const spreadRstd = alongRows(b, rstd, shape);
    const normal = mul(b, sub(b, f32(b, x), alongRows(b, mean, shape)), spreadRstd);
    const dnormal = mul(b, dy, acrossRows(b, weight, shape));
    const shift = alongRows(b, rowMean(b, dnormal), shape);
    const slope = alongRows(b, rowMean(b, mul(b, dnormal, normal)), shape);
    const inner = sub(b, sub(b, dnormal, shift), mul(b, normal, slope));
    const dx = mul(b, inner, spreadRstd);
    const dweight = columnSum(b, mul(b, dy, normal));
    const sum = residual === undefined ? dx : add(b, dx, f32(b, residual));
    const total = cast(b, sum, out ?? "f32");
    return hasBias ? [total, dweight, columnSum(b, dy)] : [total, dweight];
  },
  vjp: null,
  dims(inputs, { hasBias }) {
    const [x] = firsts(inputs, 1);
    const rows = labelsOf(leadingShape(x.shape), "r");
    const full = [...rows, "c"];
    const residual = inputs.slice(5).map(() => full);
    const vectors = hasBias ? [["c"], ["c"]] : [["c"]];
    const labels = [full, ["c"], rows, rows, full, ...residual, full, ...vectors];
    return { labels, whole: ["c"] };
  },
  kernels: {
    cpu: {
      supports: wideOnCpu([4, 5], [0]),
      inPlace: (node) =>
        node.inputs.length === 6
          ? [
              [0, 5],
              [0, 4],
            ]
          : [[0, 4]],
      scratch(node, inputs) {
        const [x] = firsts(inputs, 1);
        const vectors = node.types.length - 1;
        return { workspaceBytes: partialSumBytes(rowCount(x.shape), lastSize(x.shape), vectors) };
      },
      lower(node, inputs, outputs) {
        const [x, weight, mean, rstd, dy] = firsts(inputs, 5);
        const [dx] = firsts(outputs, 1);
        const { hasBias } = node.attrs as LayerNormGradAttrs;
        return {
          opcode: "layer_norm_grad",
          words: [hasBias ? 1 : 0, inputs.length - 5],
          inputs: [
            matrix(x),
            weight,
            flat(mean),
            flat(rstd),
            matrix(dy),
            ...inputs.slice(5).map(matrix),
          ],
          outputs: [matrix(dx), ...outputs.slice(1)],
        };
      },
    },
  },
  samples: [
    sample("plain", [4, 8], { bias: true }),
    sample("without_bias", [3, 5, 33], {}),
    sample("residual", [6, 20], { bias: true, residual: true }),
    sample("residual_without_bias", [2, 3, 17], { residual: true }),
    sample("many_rows", [2, 131, 24], { bias: true }),
    sample("wide", [3, 1025], { bias: true, residual: true }),
    sample("vector", [9], { bias: true }),
    sample("bf16", [6, 40], { bias: true, dtype: "bf16" }),
    sample("all_bf16", [7, 40], { bias: true, residual: true, dtype: "bf16", flow: "bf16" }),
    sample("all_bf16_odd", [7, 33], { dtype: "bf16", flow: "bf16" }),
  ],
});

function sample(
  name: string,
  shape: readonly number[],
  options: { bias?: boolean; residual?: boolean; dtype?: Storage; flow?: Storage },
): Sample<LayerNormGradAttrs> {
  const full = { shape, dtype: options.flow ?? "f32" } as const;
  const row = { shape: leadingShape(shape), dtype: "f32" } as const;
  const inputs = [
    { shape, dtype: options.dtype ?? "f32" },
    { shape: [lastSize(shape)], dtype: "f32" } as const,
    row,
    { ...row, fill: "positive" } as const,
    full,
    ...(options.residual === true ? [full] : []),
  ];
  const out = options.flow === undefined ? {} : { out: options.flow };
  return { name, inputs, attrs: { hasBias: options.bias === true, ...out } };
}

export interface LayerNormGrads {
  readonly dx: Id;
  readonly dweight: Id;
  readonly dbias: Id | null;
}

export function layerNormGrad(
  b: Builder,
  x: Id,
  weight: Id,
  mean: Id,
  rstd: Id,
  dy: Id,
  hasBias: boolean,
  residual?: Id,
): LayerNormGrads {
  const inputs = [x, weight, mean, rstd, dy, ...(residual === undefined ? [] : [residual])];
  const dx = b.emit(layerNormGradOp, inputs, { hasBias });
  return { dx, dweight: get(b, dx, 1), dbias: hasBias ? get(b, dx, 2) : null };
}
