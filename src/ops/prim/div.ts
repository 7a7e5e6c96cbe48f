/** @file div: x / y; integers towards zero. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { NUMBERS } from "../check.ts";
import { binaryOp, signedMapName } from "../elementwise.ts";
import { mul } from "./mul.ts";
import { neg } from "./neg.ts";

export const divOp = binaryOp({
  name: "div",
  doc: "x / y; integers towards zero.",
  dtypes: NUMBERS,
  fill: "positive",
  apply: (x, y) => x / y,
  applyInteger: (x, y) => (y === 0 ? 0 : Math.trunc(x / y)),
  map: signedMapName("div"),
  vjp: [
    (b, dy, _x, y) => div(b, dy, y()),
    (b, dy, _x, y, out) => neg(b, div(b, mul(b, dy, out()), y())),
  ],
});

export const div = (b: Builder, x: Id, y: Id): Id => b.emit(divOp, [x, y], {});
