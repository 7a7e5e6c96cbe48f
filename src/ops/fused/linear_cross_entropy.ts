/**
 * @file Cross-entropy of the logits x . w^T without ever holding all of them: the kernel makes chunks of rows.
 * x [..., C], w [V, C] (the layout of a tied embedding), targets [...]. The gradient op yields loss and lse as well, so
 * a program that needs both runs only that one.
 */
import type { Id, TensorType } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { labelsOf } from "../check.ts";
import { defineOp, type Sample, type SampleInput } from "../define.ts";
import { add } from "../prim/add.ts";
import { get } from "../prim/get.ts";
import { rowCount } from "./compose.ts";
import { expectIds, expectInputs, expectLinear, lastSize, leadingShape } from "./expect.ts";
import { logSumExp, lossOf, partitionGradient } from "./likelihood.ts";
import { linearCrossEntropyGrad } from "./linear_cross_entropy_grad.ts";
import { linearLogits, linearLogitsGrad } from "./linear_logits.ts";
import { firsts } from "./operands.ts";
import { type Compute, computeWord, expectCompute } from "./precision.ts";
import { flat, matrix } from "./views.ts";
import { linearLossScratch, rowsPerChunk } from "./workspace.ts";

type LinearCrossEntropyAttrs = { readonly compute: Compute };

const sumOf = (b: Builder, x: Id | null, y: Id | null): Id | null =>
  x === null || y === null ? (x ?? y) : add(b, x, y);

export const linearCrossEntropyOp = defineOp<LinearCrossEntropyAttrs>({
  name: "linear_cross_entropy",
  tier: "fused",
  doc: "cross_entropy of the logits x . w^T, chunked over rows; results loss and lse",
  infer(inputs, { compute }) {
    expectInputs("linear_cross_entropy", inputs, 3);
    const [x, w, targets] = firsts(inputs, 3);
    expectLinear("linear_cross_entropy", x, w);
    expectIds("linear_cross_entropy", "targets", targets, leadingShape(x.shape));
    expectCompute("linear_cross_entropy", compute);
    const row: TensorType = { shape: leadingShape(x.shape), dtype: "f32" };
    return [row, row];
  },
  decompose(b, inputs, { compute }) {
    const [x, w, targets] = firsts(inputs, 3);
    const logits = linearLogits(b, x, w, compute);
    const lse = logSumExp(b, logits);
    return [lossOf(b, logits, targets, lse), lse];
  },
  vjp(b, { inputs, outputs, attrs, cotangents }) {
    const [x, w, targets] = firsts(inputs, 3);
    const [dloss, dlse] = firsts(cotangents, 2);
    let dx: Id | null = null;
    let dw: Id | null = null;
    if (dloss !== null) ({ dx, dw } = linearCrossEntropyGrad(b, x, w, targets, dloss, attrs));
    if (dlse !== null) {
      const [, lse] = firsts(outputs, 2);
      const dlogits = partitionGradient(b, linearLogits(b, x, w, attrs.compute), lse, dlse);
      const fromLse = linearLogitsGrad(b, x, w, dlogits, attrs.compute);
      dx = sumOf(b, dx, fromLse.dx);
      dw = sumOf(b, dw, fromLse.dw);
    }
    return [dx, dw, null];
  },
  dims(inputs) {
    const [x] = firsts(inputs, 1);
    const rows = labelsOf(leadingShape(x.shape), "r");
    return { labels: [[...rows, "c"], ["v", "c"], rows, rows, rows], whole: ["c", "v"] };
  },
  flops(inputs) {
    const [x, w] = firsts(inputs, 2);
    return 2 * rowCount(x.shape) * lastSize(x.shape) * (w.shape[0] ?? 0);
  },
  kernels: {
    cpu: {
      scratch(_node, inputs) {
        const [x, w] = firsts(inputs, 2);
        return linearLossScratch(rowCount(x.shape), lastSize(x.shape), w.shape[0] ?? 1, false);
      },
      lower(node, inputs, outputs) {
        const [x, w, targets] = firsts(inputs, 3);
        const { compute } = node.attrs as LinearCrossEntropyAttrs;
        const chunk = rowsPerChunk(rowCount(x.shape), w.shape[0] ?? 1);
        return {
          opcode: "linear_cross_entropy",
          words: [computeWord(compute), chunk],
          inputs: [matrix(x), w, flat(targets)],
          outputs: outputs.map(flat),
        };
      },
    },
  },
  samples: [
    sample("plain", [6, 8], 16, { compute: "f32" }),
    sample("odd", [2, 5, 19], 37, { compute: "f32" }),
    sample("one_row", [24], 50, { compute: "f32" }),
    sample("many_rows", [67, 16], 96, { compute: "f32" }),
    sample("ignored", [5, 12], 11, { compute: "f32" }, { values: [3, -1, 0, -1, 10] }),
    sample("bf16", [9, 32], 40, { compute: "bf16" }, { x: "bf16" }),
    sample("bf16_compute", [9, 33], 41, { compute: "bf16" }),
  ],
});

function sample(
  name: string,
  shape: readonly number[],
  vocab: number,
  attrs: LinearCrossEntropyAttrs,
  options: { x?: "f32" | "bf16"; values?: readonly number[] } = {},
): Sample<LinearCrossEntropyAttrs> {
  const { values } = options;
  const drawn = { shape: leadingShape(shape), dtype: "i32", fill: "ids", max: vocab } as const;
  const inputs: readonly SampleInput[] = [
    { shape, dtype: options.x ?? "f32" },
    { shape: [vocab, lastSize(shape)], dtype: "f32", fill: "small" },
    values === undefined ? drawn : { ...drawn, values },
  ];
  return { name, inputs, attrs, ...(attrs.compute === "bf16" ? { tolerance: 2e-2 } : {}) };
}

export function linearCrossEntropy(
  b: Builder,
  x: Id,
  w: Id,
  targets: Id,
  attrs: LinearCrossEntropyAttrs,
): { readonly loss: Id; readonly lse: Id } {
  const loss = b.emit(linearCrossEntropyOp, [x, w, targets], attrs);
  return { loss, lse: get(b, loss, 1) };
}
