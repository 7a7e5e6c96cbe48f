/** @file exp: e to the x. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { FLOATS } from "../check.ts";
import { unaryOp } from "../elementwise.ts";
import { mul } from "./mul.ts";

export const expOp = unaryOp({
  name: "exp",
  doc: "e to the x.",
  dtypes: FLOATS,
  apply: Math.exp,
  map: () => "exp",
  vjp: (b, dy, _x, y) => mul(b, dy, y()),
});

export const exp = (b: Builder, x: Id): Id => b.emit(expOp, [x], {});
