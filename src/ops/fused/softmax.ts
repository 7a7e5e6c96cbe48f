/** @file Softmax over the last dim, computed in f32 whatever the storage. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { labelsOf } from "../check.ts";
import { defineOp, type Sample } from "../define.ts";
import { cast } from "../prim/cast.ts";
import { div } from "../prim/div.ts";
import { exp } from "../prim/exp.ts";
import { sub } from "../prim/sub.ts";
import { alongRows, f32, rowMax, rowSum, shapeOf } from "./compose.ts";
import { expectInputs, expectRows, leadingShape } from "./expect.ts";
import { firsts } from "./operands.ts";
import { expectStorage, type Storage } from "./precision.ts";
import { softmaxGrad } from "./softmax_grad.ts";
import { matrix } from "./views.ts";

type SoftmaxAttrs = { readonly out?: Storage };

export const softmaxOp = defineOp<SoftmaxAttrs>({
  name: "softmax",
  tier: "fused",
  doc: "exp(x) / sum(exp(x)) over the last dim",
  infer(inputs, { out }) {
    expectInputs("softmax", inputs, 1);
    const [x] = firsts(inputs, 1);
    expectRows("softmax", "x", x);
    expectStorage("softmax", out);
    return [{ shape: x.shape, dtype: out ?? x.dtype }];
  },
  decompose(b, inputs, { out }) {
    const [x] = firsts(inputs, 1);
    const shape = shapeOf(b, x);
    const x32 = f32(b, x);
    const e = exp(b, sub(b, x32, alongRows(b, rowMax(b, x32), shape)));
    const y = div(b, e, alongRows(b, rowSum(b, e), shape));
    return [cast(b, y, out ?? b.type(x).dtype)];
  },
  vjp(b, { outputs, cotangents }) {
    const [y] = firsts(outputs, 1);
    const dy = cotangents[0] ?? null;
    return [dy === null ? null : softmaxGrad(b, y, dy)];
  },
  dims(inputs) {
    const [x] = firsts(inputs, 1);
    const full = [...labelsOf(leadingShape(x.shape), "r"), "c"];
    return { labels: [full, full], whole: ["c"] };
  },
  kernels: {
    cpu: {
      // The planner shares equal bytes only, so a change of storage keeps two buffers.
      inPlace: () => [[0, 0]],
      lower(_node, inputs, outputs) {
        return {
          opcode: "softmax",
          words: [],
          inputs: inputs.map(matrix),
          outputs: outputs.map(matrix),
        };
      },
    },
  },
  samples: [
    { name: "plain", inputs: [{ shape: [4, 8], dtype: "f32" }], attrs: {} },
    { name: "odd", inputs: [{ shape: [2, 3, 33], dtype: "f32" }], attrs: {} },
    { name: "vector", inputs: [{ shape: [65], dtype: "f32" }], attrs: {} },
    { name: "one_column", inputs: [{ shape: [5, 1], dtype: "f32" }], attrs: {} },
    { name: "wide", inputs: [{ shape: [3, 1027], dtype: "f32" }], attrs: {} },
    { name: "bf16", inputs: [{ shape: [6, 40], dtype: "bf16" }], attrs: {} },
    { name: "f32_to_bf16", inputs: [{ shape: [6, 19], dtype: "f32" }], attrs: { out: "bf16" } },
  ] satisfies readonly Sample<SoftmaxAttrs>[],
});

export function softmax(b: Builder, x: Id, out?: Storage): Id {
  return b.emit(softmaxOp, [x], out === undefined ? {} : { out });
}
