/** @file pow: x to the y, for x >= 0 when y is not a whole number. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { FLOATS } from "../check.ts";
import { binaryOp } from "../elementwise.ts";
import { compare } from "./compare.ts";
import { constantLike } from "./const.ts";
import { log } from "./log.ts";
import { mul } from "./mul.ts";
import { select } from "./select.ts";
import { sub } from "./sub.ts";

export const powOp = binaryOp({
  name: "pow",
  doc: "x to the y.",
  dtypes: FLOATS,
  fill: "positive",
  apply: (x, y) => x ** y,
  map: () => "pow",
  vjp: [
    (b, dy, x, y) => {
      const less = sub(b, y(), constantLike(b, dy, 1));
      return mul(b, dy, mul(b, y(), pow(b, x(), less)));
    },
    // The limit of x^y log x is 0 at x = 0; a negative x has no gradient in y.
    (b, dy, x, _y, out) => {
      const zero = constantLike(b, dy, 0);
      const positive = compare(b, zero, x(), "lt");
      const one = constantLike(b, dy, 1);
      return mul(b, dy, mul(b, out(), log(b, select(b, positive, x(), one))));
    },
  ],
});

export const pow = (b: Builder, x: Id, y: Id): Id => b.emit(powOp, [x, y], {});
