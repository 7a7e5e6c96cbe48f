/** @file mul: x * y. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { NUMBERS } from "../check.ts";
import { binaryOp, mapName } from "../elementwise.ts";

export const mulOp = binaryOp({
  name: "mul",
  doc: "x * y.",
  dtypes: NUMBERS,
  apply: (x, y) => x * y,
  applyInteger: Math.imul,
  map: mapName("mul"),
  vjp: [(b, dy, _x, y) => mul(b, dy, y()), (b, dy, x) => mul(b, dy, x())],
});

export const mul = (b: Builder, x: Id, y: Id): Id => b.emit(mulOp, [x, y], {});
