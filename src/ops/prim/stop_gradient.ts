/** @file stop_gradient: the value itself, a constant to differentiation. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { at, labelsOf, one } from "../check.ts";
import { defineOp } from "../define.ts";
import type { NoAttrs } from "../elementwise.ts";

export const stopGradientOp = defineOp<NoAttrs>({
  name: "stop_gradient",
  tier: "prim",
  doc: "The value itself, a constant to differentiation.",
  infer: (inputs) => [one("stop_gradient", inputs)],
  reference: (inputs) => [at(inputs, 0)],
  vjp: () => [null],
  dims(inputs) {
    const labels = labelsOf(one("stop_gradient", inputs).shape);
    return { labels: [labels, labels] };
  },
  kernels: {},
  samples: [{ name: "f32", inputs: [{ shape: [5, 3], dtype: "f32" }], attrs: {} }],
});

export const stopGradient = (b: Builder, x: Id): Id => b.emit(stopGradientOp, [x], {});
