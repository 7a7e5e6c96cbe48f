/** @file tanh: hyperbolic tangent. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { FLOATS } from "../check.ts";
import { unaryOp } from "../elementwise.ts";
import { constantLike } from "./const.ts";
import { mul } from "./mul.ts";
import { sub } from "./sub.ts";

export const tanhOp = unaryOp({
  name: "tanh",
  doc: "Hyperbolic tangent.",
  dtypes: FLOATS,
  apply: Math.tanh,
  map: () => "tanh",
  vjp: (b, dy, _x, y) => mul(b, dy, sub(b, constantLike(b, dy, 1), mul(b, y(), y()))),
});

export const tanh = (b: Builder, x: Id): Id => b.emit(tanhOp, [x], {});
