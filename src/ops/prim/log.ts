/** @file log: natural logarithm. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { FLOATS } from "../check.ts";
import { unaryOp } from "../elementwise.ts";
import { div } from "./div.ts";

export const logOp = unaryOp({
  name: "log",
  doc: "Natural logarithm.",
  dtypes: FLOATS,
  fill: "positive",
  apply: Math.log,
  map: () => "log",
  vjp: (b, dy, x) => div(b, dy, x()),
});

export const log = (b: Builder, x: Id): Id => b.emit(logOp, [x], {});
