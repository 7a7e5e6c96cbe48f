/** @file sin: sine of radians. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { FLOATS } from "../check.ts";
import { unaryOp } from "../elementwise.ts";
import { cos } from "./cos.ts";
import { mul } from "./mul.ts";

export const sinOp = unaryOp({
  name: "sin",
  doc: "Sine of radians.",
  dtypes: FLOATS,
  apply: Math.sin,
  map: () => "sin",
  vjp: (b, dy, x) => mul(b, dy, cos(b, x())),
});

export const sin = (b: Builder, x: Id): Id => b.emit(sinOp, [x], {});
