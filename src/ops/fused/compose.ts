/** @file Small words for decompositions: constants, casts and broadcasts along leading or trailing dims. */
import type { Id } from "../../ir/graph.ts";
import { elementCount, type Shape } from "../../util/shapes.ts";
import type { Builder } from "../builder.ts";
import { add } from "../prim/add.ts";
import { broadcast } from "../prim/broadcast.ts";
import { cast } from "../prim/cast.ts";
import { constantLike } from "../prim/const.ts";
import { mul } from "../prim/mul.ts";
import { reduce } from "../prim/reduce.ts";
import { stopGradient } from "../prim/stop_gradient.ts";
import { lastSize } from "./expect.ts";

export const shapeOf = (b: Builder, x: Id): Shape => b.type(x).shape;

export const f32 = (b: Builder, x: Id): Id => cast(b, x, "f32");

export const times = (b: Builder, x: Id, factor: number): Id =>
  mul(b, x, constantLike(b, x, factor));
export const plus = (b: Builder, x: Id, term: number): Id => add(b, x, constantLike(b, x, term));

/** Repeats a per-row value (the leading dims of `shape`) along the last dim. */
export function alongRows(b: Builder, x: Id, shape: Shape): Id {
  const dims = shape.slice(0, -1).map((_, dim) => dim);
  return broadcast(b, x, shape, dims);
}

/** Repeats a vector over all leading dims of `shape`. */
export function acrossRows(b: Builder, x: Id, shape: Shape): Id {
  return broadcast(b, x, shape, [shape.length - 1]);
}

export const rowSum = (b: Builder, x: Id): Id => reduce(b, x, "sum", [shapeOf(b, x).length - 1]);

export const rowMean = (b: Builder, x: Id): Id =>
  times(b, rowSum(b, x), 1 / lastSize(shapeOf(b, x)));

/** Maximum of each row, without a gradient: it only keeps `exp` in range. */
export function rowMax(b: Builder, x: Id): Id {
  return stopGradient(b, reduce(b, x, "max", [shapeOf(b, x).length - 1]));
}

/** Sums over everything but the last dim: the gradient of a vector that all rows share. */
export function columnSum(b: Builder, x: Id): Id {
  const rank = shapeOf(b, x).length;
  const dims = Array.from({ length: rank - 1 }, (_, dim) => dim);
  return dims.length === 0 ? x : reduce(b, x, "sum", dims);
}

/** A scalar repeated to `shape`. */
export const spread = (b: Builder, x: Id, shape: Shape): Id => broadcast(b, x, shape, []);

/** Rows of a tensor whose last dim holds the features. */
export const rowCount = (shape: Shape): number => elementCount(shape.slice(0, -1));
