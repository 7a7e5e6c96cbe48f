/** @file add: x + y. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { NUMBERS } from "../check.ts";
import { binaryOp, mapName } from "../elementwise.ts";

export const addOp = binaryOp({
  name: "add",
  doc: "x + y.",
  dtypes: NUMBERS,
  apply: (x, y) => x + y,
  map: mapName("add"),
  vjp: [(_, dy) => dy, (_, dy) => dy],
});

export const add = (b: Builder, x: Id, y: Id): Id => b.emit(addOp, [x, y], {});
