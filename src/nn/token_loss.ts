/** @file The loss of next-token prediction, without ever holding all logits; target -1 is masked. */
import type { Id } from "../ir/graph.ts";
import { linearCrossEntropy } from "../ops/fused/linear_cross_entropy.ts";
import { cast } from "../ops/prim/cast.ts";
import { compare } from "../ops/prim/compare.ts";
import { constant } from "../ops/prim/const.ts";
import { reduce } from "../ops/prim/reduce.ts";
import { reshape } from "../ops/prim/reshape.ts";
import { elementCount } from "../util/shapes.ts";
import type { Param } from "./param.ts";
import type { Tensor } from "./tensor.ts";

export const MASKED_TARGET = -1;

export interface TokenLoss {
  /** Sum over the unmasked tokens, f32 []. */
  readonly sum: Id;
  /** Unmasked tokens, i32 []. */
  readonly count: Id;
}

/** `x` ends in the head's contracted axis; `head` is [vocab, that axis]; `targets` i32 has x's other axes. */
export function tokenLoss(x: Tensor, head: Param, targets: Tensor): TokenLoss {
  const { trace } = x;
  const { b } = trace;
  const rows = elementCount(targets.axes.map((a) => a.size));
  const width = x.axes.at(-1)?.size ?? 1;
  const flat = reshape(b, x.id, [rows, width]);
  const ids = reshape(b, targets.id, [rows]);
  const { compute } = trace;
  const { loss } = linearCrossEntropy(b, flat, trace.param(head).id, ids, { compute });
  const kept = compare(b, ids, constant(b, MASKED_TARGET, [rows], "i32"), "ne");
  return {
    sum: reduce(b, loss, "sum", [0]),
    count: cast(b, reduce(b, cast(b, kept, "f32"), "sum", [0]), "i32"),
  };
}
