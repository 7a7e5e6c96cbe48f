/** @file sqrt: square root. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { FLOATS } from "../check.ts";
import { unaryOp } from "../elementwise.ts";
import { add } from "./add.ts";
import { div } from "./div.ts";

export const sqrtOp = unaryOp({
  name: "sqrt",
  doc: "Square root.",
  dtypes: FLOATS,
  fill: "positive",
  apply: Math.sqrt,
  map: () => "sqrt",
  vjp: (b, dy, _x, y) => div(b, dy, add(b, y(), y())),
});

export const sqrt = (b: Builder, x: Id): Id => b.emit(sqrtOp, [x], {});
