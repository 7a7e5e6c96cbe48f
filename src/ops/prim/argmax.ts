/** @file argmax: where the largest element of the last dim is; the lowest index wins. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { at, expectDtype, FLOATS, fail, labelsOf, one } from "../check.ts";
import { defineOp } from "../define.ts";
import type { NoAttrs } from "../elementwise.ts";
import { refTensor } from "../reference.ts";

export const argmaxOp = defineOp<NoAttrs>({
  name: "argmax",
  tier: "prim",
  doc: "Where the largest element of the last dim is.",
  infer(inputs) {
    const x = one("argmax", inputs);
    expectDtype("argmax", "an operand", x, FLOATS);
    if (x.shape.length === 0) fail("argmax", "at least one dim", "a scalar");
    return [{ shape: x.shape.slice(0, -1), dtype: "i32" }];
  },
  reference(inputs) {
    const x = at(inputs, 0);
    const length = at(x.shape, x.shape.length - 1);
    const out = refTensor(x.shape.slice(0, -1), "i32");
    for (let row = 0; row < out.data.length; row++) {
      let best = 0;
      for (let k = 1; k < length; k++) {
        if (at(x.data, row * length + k) > at(x.data, row * length + best)) best = k;
      }
      out.data[row] = best;
    }
    return [out];
  },
  vjp: null,
  dims(inputs) {
    const labels = labelsOf(one("argmax", inputs).shape);
    return { labels: [labels, labels.slice(0, -1)], whole: labels.slice(-1) };
  },
  kernels: { cpu: { lower: () => ({ opcode: "argmax", words: [] }) } },
  samples: [
    { name: "rows", inputs: [{ shape: [7, 133], dtype: "f32" }], attrs: {} },
    { name: "one row", inputs: [{ shape: [1000], dtype: "bf16" }], attrs: {} },
    {
      name: "equal maxima",
      inputs: [{ shape: [2, 5], dtype: "f32", values: [1, 3, 3, 0, 3, -1, -1, -1, -1, -1] }],
      attrs: {},
    },
    { name: "many rows", inputs: [{ shape: [300, 70], dtype: "f32" }], attrs: {} },
  ],
});

export const argmax = (b: Builder, x: Id): Id => b.emit(argmaxOp, [x], {});
