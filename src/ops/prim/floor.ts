/** @file floor: the largest whole number <= x; its gradient is zero. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { FLOATS } from "../check.ts";
import { unaryOp } from "../elementwise.ts";

export const floorOp = unaryOp({
  name: "floor",
  doc: "The largest whole number <= x.",
  dtypes: FLOATS,
  apply: Math.floor,
  map: () => "floor",
  vjp: null,
});

export const floor = (b: Builder, x: Id): Id => b.emit(floorOp, [x], {});
