/** @file cos: cosine of radians. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { FLOATS } from "../check.ts";
import { unaryOp } from "../elementwise.ts";
import { mul } from "./mul.ts";
import { neg } from "./neg.ts";
import { sin } from "./sin.ts";

export const cosOp = unaryOp({
  name: "cos",
  doc: "Cosine of radians.",
  dtypes: FLOATS,
  apply: Math.cos,
  map: () => "cos",
  vjp: (b, dy, x) => neg(b, mul(b, dy, sin(b, x()))),
});

export const cos = (b: Builder, x: Id): Id => b.emit(cosOp, [x], {});
