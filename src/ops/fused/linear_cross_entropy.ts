/**
 * @file Cross-entropy of the logits x . w^T without ever holding all of them: the kernel makes chunks of rows.
 * x [..., C], w [V, C] (the layout of a tied embedding), targets [...]. The gradient op yields loss and lse as well, so
 * a program that needs both runs only that one.
 */
import type { Id, TensorType } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { labelsOf } from "../check.ts";
import { defineOp, type Node, type Sample, type SampleInput } from "../define.ts";
import type { View } from "../kernel.ts";
import { add } from "../prim/add.ts";
import { get } from "../prim/get.ts";
import { rowCount } from "./compose.ts";
import { expectIds, expectInputs, expectLinear, lastSize, leadingShape } from "./expect.ts";
import { logSumExp, lossOf, partitionGradient } from "./likelihood.ts";
import { linearCrossEntropyGrad } from "./linear_cross_entropy_grad.ts";
import { linearLogits, linearLogitsGrad } from "./linear_logits.ts";
import { firsts } from "./operands.ts";
import { type Compute, computeWord, expectCompute, type Storage, wideOnCpu } from "./precision.ts";
import { flat, matrix } from "./views.ts";
import { type LossSizes, lossChunk, lossScratch, lossSizes } from "./workspace.ts";

type LinearCrossEntropyAttrs = { readonly compute: Compute };

const sumOf = (b: Builder, x: Id | null, y: Id | null): Id | null =>
  x === null || y === null ? (x ?? y) : add(b, x, y);

const sizesOf = (node: Node, inputs: readonly View[]): LossSizes =>
  lossSizes(firsts(inputs, 2), (node.attrs as LinearCrossEntropyAttrs).compute);

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
      supports: wideOnCpu([1], []),
      scratch: (node, inputs, target) => lossScratch(sizesOf(node, inputs), false, target),
      lower(node, inputs, outputs, target) {
        const [x, w, targets] = firsts(inputs, 3);
        const { compute } = node.attrs as LinearCrossEntropyAttrs;
        const chunk = lossChunk(sizesOf(node, inputs), target);
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
    sample("all_bf16", [9, 32], 40, { compute: "bf16" }, { x: "bf16", w: "bf16" }),
  ],
});

function sample(
  name: string,
  shape: readonly number[],
  vocab: number,
  attrs: LinearCrossEntropyAttrs,
  options: { x?: Storage; w?: Storage; values?: readonly number[] } = {},
): Sample<LinearCrossEntropyAttrs> {
  const { values } = options;
  const drawn = { shape: leadingShape(shape), dtype: "i32", fill: "ids", max: vocab } as const;
  const inputs: readonly SampleInput[] = [
    { shape, dtype: options.x ?? "f32" },
    { shape: [vocab, lastSize(shape)], dtype: options.w ?? "f32", fill: "small" },
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
