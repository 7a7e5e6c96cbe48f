/** @file select: x where the condition holds, else y. */
import type { Id } from "../../ir/graph.ts";
import { DTYPES } from "../../util/dtype.ts";
import type { Builder } from "../builder.ts";
import { at, expectDtype, expectSame, expectShape, three } from "../check.ts";
import { defineOp } from "../define.ts";
import { elementwiseDims, elementwiseSamples, type NoAttrs } from "../elementwise.ts";
import { refTensor } from "../reference.ts";
import { constantLike } from "./const.ts";

export const selectOp = defineOp<NoAttrs>({
  name: "select",
  tier: "prim",
  doc: "x where the condition holds, else y.",
  infer(inputs) {
    const [condition, x, y] = three("select", inputs);
    expectDtype("select", "a condition", condition, ["bool"]);
    expectSame("select", x, y);
    expectShape("select", "a condition", condition, x.shape);
    return [x];
  },
  reference(inputs) {
    const condition = at(inputs, 0);
    const x = at(inputs, 1);
    const y = at(inputs, 2);
    const out = refTensor(x.shape, x.dtype);
    for (let i = 0; i < out.data.length; i++) {
      out.data[i] = at(condition.data, i) !== 0 ? at(x.data, i) : at(y.data, i);
    }
    return [out];
  },
  vjp(b, { inputs, cotangents, wanted }) {
    const dy = cotangents[0] ?? null;
    if (dy === null) return [null, null, null];
    const condition = at(inputs, 0);
    const zero = constantLike(b, dy, 0);
    return [
      null,
      wanted[1] ? select(b, condition, dy, zero) : null,
      wanted[2] ? select(b, condition, zero, dy) : null,
    ];
  },
  dims: (inputs) => elementwiseDims(inputs),
  map: () => "select",
  kernels: {},
  samples: elementwiseSamples(2, DTYPES).map((sample) => ({
    ...sample,
    inputs: [{ shape: at(sample.inputs, 0).shape, dtype: "bool", fill: "mask" }, ...sample.inputs],
  })),
});

export const select = (b: Builder, condition: Id, x: Id, y: Id): Id =>
  b.emit(selectOp, [condition, x, y], {});
