/** @file max: the larger of x and y; where they are equal the gradient goes to x. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { NUMBERS } from "../check.ts";
import { binaryOp, signedMapName } from "../elementwise.ts";
import { compare } from "./compare.ts";
import { constantLike } from "./const.ts";
import { select } from "./select.ts";

export const maxOp = binaryOp({
  name: "max",
  doc: "The larger of x and y.",
  dtypes: NUMBERS,
  apply: (x, y) => Math.max(x, y),
  map: signedMapName("max"),
  vjp: [
    (b, dy, x, y) => select(b, compare(b, y(), x(), "le"), dy, constantLike(b, dy, 0)),
    (b, dy, x, y) => select(b, compare(b, y(), x(), "le"), constantLike(b, dy, 0), dy),
  ],
});

export const max = (b: Builder, x: Id, y: Id): Id => b.emit(maxOp, [x, y], {});
