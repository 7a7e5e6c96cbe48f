/** @file Gradient of `rms_norm`; can add the gradient that bypasses the norm (the residual stream's) on the way. */
import type { Id } from "../../ir/graph.ts";
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

/** `out`: of dx; absent: f32. */
type RmsNormGradAttrs = { readonly out?: Storage };

export const rmsNormGradOp = defineOp<RmsNormGradAttrs>({
  name: "rms_norm_grad",
  tier: "fused",
  doc: "dx (+ residual gradient, input 4) and dweight of rms_norm",
  infer(inputs, { out }) {
    expectInputs("rms_norm_grad", inputs, 4, 5);
    const [x, weight, rstd, dy] = firsts(inputs, 4);
    const residual = inputs[4];
    expectRows("rms_norm_grad", "x", x);
    const features = [lastSize(x.shape)];
    expectF32("rms_norm_grad", "weight", weight, features);
    expectF32("rms_norm_grad", "rstd", rstd, leadingShape(x.shape));
    expectFloat("rms_norm_grad", "dy", dy, x.shape);
    if (residual !== undefined) expectFloat("rms_norm_grad", "residual", residual, x.shape);
    expectStorage("rms_norm_grad", out);
    return [
      { shape: x.shape, dtype: out ?? "f32" },
      { shape: features, dtype: "f32" },
    ];
  },
  decompose(b, inputs, { out }) {
    const [x, weight, rstd, dyStored] = firsts(inputs, 4);
    const dy = f32(b, dyStored);
    const residual = inputs[4];
    const shape = shapeOf(b, x);
    const spreadRstd = alongRows(b, rstd, shape);
    const normal = mul(b, f32(b, x), spreadRstd);
    const dnormal = mul(b, dy, acrossRows(b, weight, shape));
    const slope = alongRows(b, rowMean(b, mul(b, dnormal, normal)), shape);
    const dx = mul(b, sub(b, dnormal, mul(b, normal, slope)), spreadRstd);
    const dweight = columnSum(b, mul(b, dy, normal));
    const sum = residual === undefined ? dx : add(b, dx, f32(b, residual));
    return [cast(b, sum, out ?? "f32"), dweight];
  },
  vjp: null,
  dims(inputs) {
    const [x] = firsts(inputs, 1);
    const rows = labelsOf(leadingShape(x.shape), "r");
    const full = [...rows, "c"];
    const residual = inputs.slice(4).map(() => full);
    return { labels: [full, ["c"], rows, full, ...residual, full, ["c"]], whole: ["c"] };
  },
  kernels: {
    cpu: {
      supports: wideOnCpu([3, 4], [0]),
      inPlace: (node) =>
        node.inputs.length === 5
          ? [
              [0, 4],
              [0, 3],
            ]
          : [[0, 3]],
      scratch(_node, inputs) {
        const [x] = firsts(inputs, 1);
        return { workspaceBytes: partialSumBytes(rowCount(x.shape), lastSize(x.shape), 1) };
      },
      lower(_node, inputs, outputs) {
        const [x, weight, rstd, dy] = firsts(inputs, 4);
        const [dx, dweight] = firsts(outputs, 2);
        return {
          opcode: "rms_norm_grad",
          words: [inputs.length - 4],
          inputs: [matrix(x), weight, flat(rstd), matrix(dy), ...inputs.slice(4).map(matrix)],
          outputs: [matrix(dx), dweight],
        };
      },
    },
  },
  samples: [
    sample("plain", [4, 8]),
    sample("odd", [3, 5, 33]),
    sample("residual", [2, 3, 20], { residual: true }),
    sample("many_rows", [2, 131, 24]),
    sample("wide", [3, 1025], { residual: true }),
    sample("vector", [9]),
    sample("bf16", [6, 40], { dtype: "bf16" }),
    sample("all_bf16", [7, 40], { residual: true, dtype: "bf16", flow: "bf16" }),
    sample("all_bf16_odd", [7, 33], { dtype: "bf16", flow: "bf16" }),
  ],
});

function sample(
  name: string,
  shape: readonly number[],
  options: { residual?: boolean; dtype?: Storage; flow?: Storage } = {},
): Sample<RmsNormGradAttrs> {
  const full = { shape, dtype: options.flow ?? "f32" } as const;
  const inputs = [
    { shape, dtype: options.dtype ?? "f32" },
    { shape: [lastSize(shape)], dtype: "f32" } as const,
    { shape: leadingShape(shape), dtype: "f32", fill: "positive" } as const,
    full,
    ...(options.residual === true ? [full] : []),
  ];
  return { name, inputs, attrs: options.flow === undefined ? {} : { out: options.flow } };
}

export function rmsNormGrad(
  b: Builder,
  x: Id,
  weight: Id,
  rstd: Id,
  dy: Id,
  residual?: Id,
): { readonly dx: Id; readonly dweight: Id } {
  const inputs = [x, weight, rstd, dy, ...(residual === undefined ? [] : [residual])];
  const dx = b.emit(rmsNormGradOp, inputs, {});
  return { dx, dweight: get(b, dx, 1) };
}
