/**
 * @file Pieces that the decompositions of the cross-entropy ops share. Logits are f32 [..., V], targets [...]; an i32
 * target of -1 is ignored: its loss is 0 and nothing flows back.
 */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { add } from "../prim/add.ts";
import { cast } from "../prim/cast.ts";
import { compare } from "../prim/compare.ts";
import { constantLike } from "../prim/const.ts";
import { exp } from "../prim/exp.ts";
import { iota } from "../prim/iota.ts";
import { log } from "../prim/log.ts";
import { mul } from "../prim/mul.ts";
import { select } from "../prim/select.ts";
import { sub } from "../prim/sub.ts";
import { alongRows, rowMax, rowSum, shapeOf } from "./compose.ts";

/** The i32 target that counts as no target. */
export const IGNORED_TARGET = -1;

/** log(sum(exp(row))) of each row. */
export function logSumExp(b: Builder, logits: Id): Id {
  const max = rowMax(b, logits);
  const e = exp(b, sub(b, logits, alongRows(b, max, shapeOf(b, logits))));
  return add(b, log(b, rowSum(b, e)), max);
}

/** Sets the rows with an ignored target to zero. */
function dropIgnored(b: Builder, perRow: Id, targets: Id): Id {
  if (b.type(targets).dtype === "u32") return perRow;
  const ignored = compare(b, targets, constantLike(b, targets, IGNORED_TARGET), "eq");
  return select(b, ignored, constantLike(b, perRow, 0), perRow);
}

/** True at the target of each row. */
function atTarget(b: Builder, targets: Id, shape: readonly number[]): Id {
  const columns = iota(b, shape, shape.length - 1, "i32");
  return compare(b, columns, alongRows(b, cast(b, targets, "i32"), shape), "eq");
}

/** lse - logit of the target; 0 where it is ignored. */
export function lossOf(b: Builder, logits: Id, targets: Id, lse: Id): Id {
  const mask = atTarget(b, targets, shapeOf(b, logits));
  const chosen = rowSum(b, select(b, mask, logits, constantLike(b, logits, 0)));
  return dropIgnored(b, sub(b, lse, chosen), targets);
}

/** (softmax - onehot) * dloss. */
export function logitGradient(b: Builder, logits: Id, targets: Id, lse: Id, dloss: Id): Id {
  const shape = shapeOf(b, logits);
  const p = exp(b, sub(b, logits, alongRows(b, lse, shape)));
  const onehot = cast(b, atTarget(b, targets, shape), "f32");
  return mul(b, sub(b, p, onehot), alongRows(b, dropIgnored(b, dloss, targets), shape));
}

/** softmax * dlse: what flows back when a loss uses the log-partition itself (z-loss). */
export function partitionGradient(b: Builder, logits: Id, lse: Id, dlse: Id): Id {
  const shape = shapeOf(b, logits);
  const p = exp(b, sub(b, logits, alongRows(b, lse, shape)));
  return mul(b, p, alongRows(b, dlse, shape));
}
