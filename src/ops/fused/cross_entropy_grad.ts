/** @file Gradient of `cross_entropy`: (softmax - onehot) * dloss, zero for ignored targets. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { labelsOf } from "../check.ts";
import { defineOp, type Sample, type SampleInput } from "../define.ts";
import type { NoAttrs } from "../elementwise.ts";
import { f32 } from "./compose.ts";
import {
  expectF32,
  expectIds,
  expectInputs,
  expectRows,
  lastSize,
  leadingShape,
} from "./expect.ts";
import { logitGradient } from "./likelihood.ts";
import { firsts } from "./operands.ts";
import { flat, matrix } from "./views.ts";

export const crossEntropyGradOp = defineOp<NoAttrs>({
  name: "cross_entropy_grad",
  tier: "fused",
  doc: "dlogits of cross_entropy from logits, targets, lse and dloss",
  infer(inputs) {
    expectInputs("cross_entropy_grad", inputs, 4);
    const [logits, targets, lse, dloss] = firsts(inputs, 4);
    expectRows("cross_entropy_grad", "logits", logits);
    const rows = leadingShape(logits.shape);
    expectIds("cross_entropy_grad", "targets", targets, rows);
    expectF32("cross_entropy_grad", "lse", lse, rows);
    expectF32("cross_entropy_grad", "dloss", dloss, rows);
    return [{ shape: logits.shape, dtype: "f32" }];
  },
  decompose(b, inputs) {
    const [logits, targets, lse, dloss] = firsts(inputs, 4);
    return [logitGradient(b, f32(b, logits), targets, lse, dloss)];
  },
  vjp: null,
  dims(inputs) {
    const [logits] = firsts(inputs, 1);
    const rows = labelsOf(leadingShape(logits.shape), "r");
    const full = [...rows, "v"];
    return { labels: [full, rows, rows, rows, full], whole: ["v"] };
  },
  kernels: {
    cpu: {
      // The planner shares equal bytes only, so bf16 logits keep their own buffer.
      inPlace: () => [[0, 0]],
      lower(_node, inputs, outputs) {
        const [logits, targets, lse, dloss] = firsts(inputs, 4);
        return {
          opcode: "cross_entropy_grad",
          words: [],
          inputs: [matrix(logits), flat(targets), flat(lse), flat(dloss)],
          outputs: outputs.map(matrix),
        };
      },
    },
  },
  samples: [
    sample("plain", [6, 16], "f32", "i32"),
    sample("odd", [2, 5, 37], "f32", "u32"),
    sample("one_row", [129], "f32", "u32"),
    sample("bf16", [7, 40], "bf16", "i32"),
    sample("ignored", [5, 11], "f32", "i32", [3, -1, 0, -1, 10]),
  ],
});

function sample(
  name: string,
  shape: readonly number[],
  dtype: "f32" | "bf16",
  ids: "i32" | "u32",
  values?: readonly number[],
): Sample<NoAttrs> {
  const row = leadingShape(shape);
  const drawn = { shape: row, dtype: ids, fill: "ids", max: lastSize(shape) } as const;
  const inputs: readonly SampleInput[] = [
    { shape, dtype },
    values === undefined ? drawn : { ...drawn, values },
    { shape: row, dtype: "f32", fill: "positive" },
    { shape: row, dtype: "f32" },
  ];
  return { name, inputs, attrs: {} };
}

export function crossEntropyGrad(b: Builder, logits: Id, targets: Id, lse: Id, dloss: Id): Id {
  return b.emit(crossEntropyGradOp, [logits, targets, lse, dloss], {});
}
