/** @file abs: magnitude; its gradient at zero is that of x. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { NUMBERS } from "../check.ts";
import { mapName, unaryOp } from "../elementwise.ts";
import { compare } from "./compare.ts";
import { constantLike } from "./const.ts";
import { neg } from "./neg.ts";
import { select } from "./select.ts";

export const absOp = unaryOp({
  name: "abs",
  doc: "Magnitude.",
  dtypes: NUMBERS,
  apply: Math.abs,
  map: (dtype) => (dtype === "u32" ? null : mapName("abs")(dtype)),
  vjp(b, dy, x) {
    const negative = compare(b, x(), constantLike(b, x(), 0), "lt");
    return select(b, negative, neg(b, dy), dy);
  },
});

export const abs = (b: Builder, x: Id): Id => b.emit(absOp, [x], {});
