/** @file neg: -x. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { NUMBERS } from "../check.ts";
import { mapName, unaryOp } from "../elementwise.ts";

export const negOp = unaryOp({
  name: "neg",
  doc: "-x.",
  dtypes: NUMBERS,
  apply: (x) => -x,
  map: mapName("neg"),
  vjp: (b, dy) => neg(b, dy),
});

export const neg = (b: Builder, x: Id): Id => b.emit(negOp, [x], {});
