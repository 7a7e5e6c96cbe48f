/** @file and: bitwise x & y; on bool the logical and. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { INDICES } from "../check.ts";
import { binaryOp } from "../elementwise.ts";

export const andOp = binaryOp({
  name: "and",
  doc: "Bitwise x & y; on bool the logical and.",
  dtypes: ["bool", ...INDICES],
  apply: (x, y) => x & y,
  map: () => "andi",
  vjp: null,
});

export const and = (b: Builder, x: Id, y: Id): Id => b.emit(andOp, [x, y], {});
