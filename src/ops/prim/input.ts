/** @file input: a named value from outside: state that persists between runs, or an input written before each. */
import type { Id } from "../../ir/graph.ts";
import type { DType } from "../../util/dtype.ts";
import type { Shape } from "../../util/shapes.ts";
import type { Builder } from "../builder.ts";
import { expectCount, expectSizes, fail, labelsOf } from "../check.ts";
import { defineOp } from "../define.ts";

export type InputOpAttrs = {
  readonly name: string;
  readonly kind: "state" | "input";
  readonly shape: Shape;
  readonly dtype: DType;
};

export const inputOp = defineOp<InputOpAttrs>({
  name: "input",
  tier: "prim",
  doc: "A named value from outside: state or host input.",
  infer(inputs, { name, kind, shape, dtype }) {
    expectCount("input", inputs, 0);
    expectSizes("input", shape);
    if (name === "") fail("input", "a name", "an empty one");
    if (kind !== "state" && kind !== "input") fail("input", "kind state or input", `${kind}`);
    return [{ shape, dtype }];
  },
  vjp: null,
  dims: (_, { shape }) => ({ labels: [labelsOf(shape)] }),
  kernels: {},
  samples: [],
});

export const input = (b: Builder, attrs: InputOpAttrs): Id => b.emit(inputOp, [], attrs);
