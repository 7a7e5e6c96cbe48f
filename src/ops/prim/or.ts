/** @file or: bitwise x | y; on bool the logical or. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { INDICES } from "../check.ts";
import { binaryOp } from "../elementwise.ts";

export const orOp = binaryOp({
  name: "or",
  doc: "Bitwise x | y; on bool the logical or.",
  dtypes: ["bool", ...INDICES],
  apply: (x, y) => x | y,
  map: () => "ori",
  vjp: null,
});

export const or = (b: Builder, x: Id, y: Id): Id => b.emit(orOp, [x, y], {});
