/** @file sub: x - y. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { NUMBERS } from "../check.ts";
import { binaryOp, mapName } from "../elementwise.ts";
import { neg } from "./neg.ts";

export const subOp = binaryOp({
  name: "sub",
  doc: "x - y.",
  dtypes: NUMBERS,
  apply: (x, y) => x - y,
  map: mapName("sub"),
  vjp: [(_, dy) => dy, (b, dy) => neg(b, dy)],
});

export const sub = (b: Builder, x: Id, y: Id): Id => b.emit(subOp, [x, y], {});
