/** @file Gradient of `softmax` from its result: y * (dy - sum(y * dy)). */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { labelsOf } from "../check.ts";
import { defineOp } from "../define.ts";
import type { NoAttrs } from "../elementwise.ts";
import { mul } from "../prim/mul.ts";
import { sub } from "../prim/sub.ts";
import { alongRows, f32, rowSum, shapeOf } from "./compose.ts";
import { expectF32, expectInputs, expectRows, leadingShape } from "./expect.ts";
import { firsts } from "./operands.ts";
import { matrix } from "./views.ts";

export const softmaxGradOp = defineOp<NoAttrs>({
  name: "softmax_grad",
  tier: "fused",
  doc: "dx of softmax from its result y and dy",
  infer(inputs) {
    expectInputs("softmax_grad", inputs, 2);
    const [y, dy] = firsts(inputs, 2);
    expectRows("softmax_grad", "y", y);
    expectF32("softmax_grad", "dy", dy, y.shape);
    return [{ shape: y.shape, dtype: "f32" }];
  },
  decompose(b, inputs) {
    const [y, dy] = firsts(inputs, 2);
    const shape = shapeOf(b, y);
    const y32 = f32(b, y);
    const inner = alongRows(b, rowSum(b, mul(b, y32, dy)), shape);
    return [mul(b, y32, sub(b, dy, inner))];
  },
  vjp: null,
  dims(inputs) {
    const [y] = firsts(inputs, 1);
    const full = [...labelsOf(leadingShape(y.shape), "r"), "c"];
    return { labels: [full, full, full], whole: ["c"] };
  },
  kernels: {
    cpu: {
      inPlace: () => [[0, 1]],
      lower(_node, inputs, outputs) {
        return {
          opcode: "softmax_grad",
          words: [],
          inputs: inputs.map(matrix),
          outputs: outputs.map(matrix),
        };
      },
    },
  },
  samples: [
    { name: "plain", inputs: pair([4, 8], "f32"), attrs: {} },
    { name: "odd", inputs: pair([2, 3, 33], "f32"), attrs: {} },
    { name: "vector", inputs: pair([65], "f32"), attrs: {} },
    { name: "wide", inputs: pair([3, 1027], "f32"), attrs: {} },
    { name: "bf16", inputs: pair([6, 40], "bf16"), attrs: {} },
  ],
});

function pair(shape: readonly number[], dtype: "f32" | "bf16") {
  return [
    { shape, dtype, fill: "small" },
    { shape, dtype: "f32" },
  ] as const;
}

export function softmaxGrad(b: Builder, y: Id, dy: Id): Id {
  return b.emit(softmaxGradOp, [y, dy], {});
}
