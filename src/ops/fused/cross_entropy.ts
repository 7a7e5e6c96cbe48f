/** @file Cross-entropy of logits [..., V] against target ids [...], per row; the log-partition is the second result. */
import type { Id, TensorType } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { labelsOf } from "../check.ts";
import { defineOp, type Sample } from "../define.ts";
import type { NoAttrs } from "../elementwise.ts";
import { add } from "../prim/add.ts";
import { get } from "../prim/get.ts";
import { f32 } from "./compose.ts";
import { crossEntropyGrad } from "./cross_entropy_grad.ts";
import { expectIds, expectInputs, expectRows, lastSize, leadingShape } from "./expect.ts";
import { logSumExp, lossOf, partitionGradient } from "./likelihood.ts";
import { firsts } from "./operands.ts";
import { flat, matrix } from "./views.ts";

export const crossEntropyOp = defineOp<NoAttrs>({
  name: "cross_entropy",
  tier: "fused",
  doc: "loss = lse - logit of the target (0 for i32 target -1), lse = log(sum(exp(logits)))",
  infer(inputs) {
    expectInputs("cross_entropy", inputs, 2);
    const [logits, targets] = firsts(inputs, 2);
    expectRows("cross_entropy", "logits", logits);
    const rows = leadingShape(logits.shape);
    expectIds("cross_entropy", "targets", targets, rows);
    const row: TensorType = { shape: rows, dtype: "f32" };
    return [row, row];
  },
  decompose(b, inputs) {
    const [logits, targets] = firsts(inputs, 2);
    const logits32 = f32(b, logits);
    const lse = logSumExp(b, logits32);
    return [lossOf(b, logits32, targets, lse), lse];
  },
  vjp(b, { inputs, outputs, cotangents }) {
    const [logits, targets] = firsts(inputs, 2);
    const [, lse] = firsts(outputs, 2);
    const [dloss, dlse] = firsts(cotangents, 2);
    const fromLoss = dloss === null ? null : crossEntropyGrad(b, logits, targets, lse, dloss);
    if (dlse === null) return [fromLoss, null];
    const fromLse = partitionGradient(b, f32(b, logits), lse, dlse);
    return [fromLoss === null ? fromLse : add(b, fromLoss, fromLse), null];
  },
  dims(inputs) {
    const [logits] = firsts(inputs, 1);
    const rows = labelsOf(leadingShape(logits.shape), "r");
    return { labels: [[...rows, "v"], rows, rows, rows], whole: ["v"] };
  },
  kernels: {
    cpu: {
      lower(_node, inputs, outputs) {
        const [logits, targets] = firsts(inputs, 2);
        return {
          opcode: "cross_entropy",
          words: [],
          inputs: [matrix(logits), flat(targets)],
          outputs: outputs.map(flat),
        };
      },
    },
  },
  samples: [
    sample("plain", [6, 16], "f32", "i32"),
    sample("odd", [2, 5, 37], "f32", "u32"),
    sample("one_row", [129], "f32", "u32"),
    sample("wide", [3, 2053], "f32", "i32"),
    sample("bf16", [7, 40], "bf16", "i32"),
    {
      name: "ignored",
      inputs: [
        { shape: [5, 11], dtype: "f32" },
        { shape: [5], dtype: "i32", fill: "ids", max: 11, values: [3, -1, 0, -1, 10] },
      ],
      attrs: {},
    },
  ],
});

function sample(
  name: string,
  shape: readonly number[],
  dtype: "f32" | "bf16",
  ids: "i32" | "u32",
): Sample<NoAttrs> {
  const targets = { shape: leadingShape(shape), dtype: ids, max: lastSize(shape) };
  return {
    name,
    inputs: [
      { shape, dtype },
      { ...targets, fill: "ids" },
    ],
    attrs: {},
  };
}

export function crossEntropy(
  b: Builder,
  logits: Id,
  targets: Id,
): { readonly loss: Id; readonly lse: Id } {
  const loss = b.emit(crossEntropyOp, [logits, targets], {});
  return { loss, lse: get(b, loss, 1) };
}
