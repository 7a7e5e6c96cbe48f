/** @file rsqrt: 1 / square root. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { FLOATS } from "../check.ts";
import { unaryOp } from "../elementwise.ts";
import { constantLike } from "./const.ts";
import { div } from "./div.ts";
import { mul } from "./mul.ts";

export const rsqrtOp = unaryOp({
  name: "rsqrt",
  doc: "1 / square root.",
  dtypes: FLOATS,
  fill: "positive",
  apply: (x) => 1 / Math.sqrt(x),
  map: () => "rsqrt",
  vjp: (b, dy, x, y) => mul(b, constantLike(b, dy, -0.5), mul(b, dy, div(b, y(), x()))),
});

export const rsqrt = (b: Builder, x: Id): Id => b.emit(rsqrtOp, [x], {});
