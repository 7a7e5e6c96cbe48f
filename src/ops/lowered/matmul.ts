/**
 * @file matmul: batched matrix product with an epilogue, out = cast(act(alpha A.B + bias) * act'(aux) + residual).
 * On request also the sums of B's columns: where B is a gradient and A.B that of a weight, they are the bias's.
 * Operands may be strided (transposes are views) and stored as f32 or bf16 whatever they are computed in.
 */

import type { TensorType } from "../../ir/graph.ts";
import { isFloat } from "../../util/dtype.ts";
import { sameShape, shapeText } from "../../util/shapes.ts";
import { at, fail } from "../check.ts";
import { defineOp, type Sample } from "../define.ts";
import { gemmScratchBytes, gemmWorkspaceBytes } from "../gemm_memory.ts";
import { isContiguous, type View } from "../kernel.ts";
import { type RefTensor, refTensor } from "../reference.ts";
import { mapOp } from "./map_code.ts";

export type Activation = "none" | "gelu_tanh" | "gelu_erf" | "silu";

export type MatmulAttrs = {
  readonly compute: "f32" | "bf16";
  readonly alpha: number;
  /** Inputs after A and B, in this order: bias [N], residual [batch, M, N], aux [batch, M, N]. */
  readonly bias: boolean;
  readonly residual: boolean;
  readonly activation: Activation;
  /** Also yields the value before the activation, as `aux` (absent: f32). */
  readonly saveAux: boolean;
  readonly aux?: "f32" | "bf16";
  /** Multiplies by the derivative of `activation` at the input aux, instead of applying it. */
  readonly activationGrad: boolean;
  readonly out: "f32" | "bf16";
  /** The last result is the sum of every column of B, [N] in f32; for one B. */
  readonly columnSums?: boolean;
};

export const PLAIN_MATMUL: Omit<MatmulAttrs, "compute"> = {
  alpha: 1,
  bias: false,
  residual: false,
  activation: "none",
  saveAux: false,
  activationGrad: false,
  out: "f32",
};

const FLAGS = {
  bias: 1,
  residual: 2,
  activation: 4,
  saveAux: 8,
  activationGrad: 16,
  columnSums: 32,
};
const ACTIVATIONS: readonly Activation[] = ["none", "gelu_tanh", "gelu_erf", "silu"];

/** Index of the residual among the inputs, or -1. */
export const residualIndex = (attrs: MatmulAttrs): number =>
  attrs.residual ? 2 + Number(attrs.bias) : -1;

function flagsOf(attrs: MatmulAttrs): number {
  let flags = 0;
  if (attrs.bias) flags |= FLAGS.bias;
  if (attrs.residual) flags |= FLAGS.residual;
  if (attrs.activation !== "none" && !attrs.activationGrad) flags |= FLAGS.activation;
  if (attrs.saveAux) flags |= FLAGS.saveAux;
  if (attrs.activationGrad) flags |= FLAGS.activationGrad;
  if (attrs.columnSums === true) flags |= FLAGS.columnSums;
  return flags;
}

function expectOperand(name: string, type: TensorType, shape: readonly number[]): void {
  if (!isFloat(type.dtype) || !sameShape(type.shape, shape)) {
    fail("matmul", `${name} ${shapeText(shape)}`, `${type.dtype}${shapeText(type.shape)}`);
  }
}

function infer(inputs: readonly TensorType[], attrs: MatmulAttrs): TensorType[] {
  const extra = Number(attrs.bias) + Number(attrs.residual) + Number(attrs.activationGrad);
  if (inputs.length !== 2 + extra) fail("matmul", `${2 + extra} operands`, `${inputs.length}`);
  const [batch = 0, m = 0, k = 0] = at(inputs, 0).shape;
  const n = at(inputs, 1).shape[2] ?? 0;
  if (at(inputs, 0).shape.length !== 3) fail("matmul", "A of rank 3", "another rank");
  expectOperand("A", at(inputs, 0), [batch, m, k]);
  expectOperand("B", at(inputs, 1), [batch, k, n]);
  const rest = inputs.slice(2);
  const shape = [batch, m, n];
  if (attrs.bias) expectOperand("bias", at(rest.splice(0, 1), 0), [n]);
  for (const type of rest) expectOperand("residual and aux", type, shape);
  if (attrs.saveAux && attrs.activationGrad) fail("matmul", "one use of aux", "two");
  const needsActivation = attrs.saveAux || attrs.activationGrad;
  if (needsActivation && attrs.activation === "none") fail("matmul", "an activation", "none");
  const results: TensorType[] = [{ shape, dtype: attrs.out }];
  if (attrs.saveAux) results.push({ shape, dtype: attrs.aux ?? "f32" });
  if (attrs.columnSums === true) {
    if (batch !== 1) fail("matmul", "one B for sums of columns", `${batch}`);
    results.push({ shape: [n], dtype: "f32" });
  }
  return results;
}

function product(a: RefTensor, b: RefTensor, alpha: number): Float64Array {
  const [batch = 0, m = 0, k = 0] = a.shape;
  const n = b.shape[2] ?? 0;
  const out = refTensor([batch, m, n], "f32").data;
  for (let row = 0; row < batch * m; row++) {
    const b0 = Math.floor(row / m) * k * n;
    for (let p = 0; p < k; p++) {
      const left = alpha * (a.data[row * k + p] ?? 0);
      for (let j = 0; j < n; j++) {
        out[row * n + j] = (out[row * n + j] ?? 0) + left * (b.data[b0 + p * n + j] ?? 0);
      }
    }
  }
  return out;
}

function reference(
  inputs: readonly RefTensor[],
  attrs: MatmulAttrs,
  types: readonly TensorType[],
): RefTensor[] {
  const [, b, ...rest] = inputs;
  const out = product(at(inputs, 0), at(inputs, 1), attrs.alpha);
  const n = b?.shape[2] ?? 1;
  const bias = attrs.bias ? rest.shift() : undefined;
  const residual = attrs.residual ? rest.shift() : undefined;
  const aux = attrs.activationGrad ? rest.shift() : undefined;
  const saved = new Float64Array(out.length);
  const act = attrs.activation === "none" ? undefined : mapOp(attrs.activation).apply;
  const slope = aux === undefined ? undefined : mapOp(`${attrs.activation}_grad`).apply;
  for (let i = 0; i < out.length; i++) {
    let value = (out[i] ?? 0) + (bias?.data[i % n] ?? 0);
    saved[i] = value;
    if (slope !== undefined) value *= slope(aux?.data[i] ?? 0, 0, 0);
    else if (act !== undefined) value = act(value, 0, 0);
    out[i] = value + (residual?.data[i] ?? 0);
  }
  const results = [out, ...(attrs.saveAux ? [saved] : [])];
  if (attrs.columnSums === true) results.push(columnSums(at(inputs, 1), n));
  return results.map((data, i) => ({ ...at(types, i), data }));
}

function columnSums({ data }: RefTensor, columns: number): Float64Array {
  const sums = new Float64Array(columns);
  data.forEach((value, i) => {
    sums[i % columns] = (sums[i % columns] ?? 0) + value;
  });
  return sums;
}

/** The last dim dense; rows may be apart (a part of a concat). */
const denseRows = ({ shape, strides }: View): boolean =>
  strides[shape.length - 1] === 1 || shape[shape.length - 1] === 1;

function sample(name: string, attrs: Partial<MatmulAttrs>): Sample<MatmulAttrs> {
  const [batch, m, k, n] = [attrs.columnSums === true ? 1 : 2, 7, 19, 33];
  const full: MatmulAttrs = { ...PLAIN_MATMUL, compute: "f32", ...attrs };
  const type = (shape: readonly number[]) => ({ shape, dtype: "f32" }) as const;
  return {
    name,
    attrs: full,
    inputs: [
      type([batch, m, k]),
      type([batch, k, n]),
      ...(full.bias ? [type([n])] : []),
      ...(full.residual ? [type([batch, m, n])] : []),
      ...(full.activationGrad ? [type([batch, m, n])] : []),
    ],
  };
}

const SAMPLES: readonly Sample<MatmulAttrs>[] = [
  sample("plain", {}),
  sample("scaled with bias", { alpha: 0.25, bias: true }),
  sample("bias, gelu, saved", { bias: true, activation: "gelu_tanh", saveAux: true }),
  sample("silu", { activation: "silu" }),
  sample("gradient of gelu", { activation: "gelu_erf", activationGrad: true }),
  sample("residual", { residual: true, bias: true }),
  sample("bf16 operands", { compute: "bf16" }),
  sample("bf16 result", { out: "bf16", residual: true }),
  sample("sums of columns", { columnSums: true, residual: true }),
];

export const matmulLoweredOp = defineOp<MatmulAttrs>({
  name: "matmul",
  tier: "lowered",
  doc: "Batched matrix product with bias, activation, residual and cast in its epilogue.",
  infer,
  reference,
  flops: ([a, b]) => 2 * (b?.shape[2] ?? 0) * (a?.shape.reduce((x, y) => x * y, 1) ?? 0),
  kernels: {
    cpu: {
      acceptsInput: (_node, index, view) => index < 2 || isContiguous(view),
      acceptsOutput: (_node, index, view) => (index === 0 ? denseRows(view) : isContiguous(view)),
      inPlace(node) {
        const index = residualIndex(node.attrs as MatmulAttrs);
        return index < 0 ? [] : [[0, index]];
      },
      scratch(_node, inputs, target) {
        if (target === "cuda") return {};
        const [batch = 1, m = 1, k = 1] = at(inputs, 0).shape;
        const n = at(inputs, 1).shape[2] ?? 1;
        // A batch over one B is worked on as a single taller product.
        const perThreadBytes = gemmScratchBytes(batch * m, n, k, m);
        return batch === 1
          ? { perThreadBytes, workspaceBytes: gemmWorkspaceBytes(m, n, k) }
          : { perThreadBytes };
      },
      lower(node) {
        const attrs = node.attrs as MatmulAttrs;
        const activation = ACTIVATIONS.indexOf(attrs.activation);
        const compute = attrs.compute === "bf16" ? 1 : 0;
        return {
          opcode: "matmul",
          words: [flagsOf(attrs), compute, activation, { f32: attrs.alpha }],
        };
      },
    },
  },
  samples: SAMPLES,
});
