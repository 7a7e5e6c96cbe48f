/** @file min: the smaller of x and y; where they are equal the gradient goes to x. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { NUMBERS } from "../check.ts";
import { binaryOp, signedMapName } from "../elementwise.ts";
import { compare } from "./compare.ts";
import { constantLike } from "./const.ts";
import { select } from "./select.ts";

export const minOp = binaryOp({
  name: "min",
  doc: "The smaller of x and y.",
  dtypes: NUMBERS,
  apply: (x, y) => Math.min(x, y),
  map: signedMapName("min"),
  vjp: [
    (b, dy, x, y) => select(b, compare(b, x(), y(), "le"), dy, constantLike(b, dy, 0)),
    (b, dy, x, y) => select(b, compare(b, x(), y(), "le"), constantLike(b, dy, 0), dy),
  ],
});

export const min = (b: Builder, x: Id, y: Id): Id => b.emit(minOp, [x, y], {});
