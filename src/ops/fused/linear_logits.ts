/** @file The matrix products around the chunked cross-entropy, as primitives: logits = x . w^T and their gradients. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { cast } from "../prim/cast.ts";
import { dot } from "../prim/dot.ts";
import { shapeOf } from "./compose.ts";
import type { Compute } from "./precision.ts";

/** x [..., C] . w [V, C] -> f32 [..., V]. */
export function linearLogits(b: Builder, x: Id, w: Id, compute: Compute): Id {
  const last = shapeOf(b, x).length - 1;
  return dot(b, cast(b, x, compute), cast(b, w, compute), { batch: [], contract: [[last, 1]] });
}

/** What the gradient of the logits [..., V] gives x and w. */
export function linearLogitsGrad(
  b: Builder,
  x: Id,
  w: Id,
  dlogits: Id,
  compute: Compute,
): { readonly dx: Id; readonly dw: Id } {
  const last = shapeOf(b, x).length - 1;
  const d = cast(b, dlogits, compute);
  const rows = Array.from({ length: last }, (_, dim) => [dim, dim] as const);
  return {
    dx: dot(b, d, cast(b, w, compute), { batch: [], contract: [[last, 0]] }),
    dw: dot(b, d, cast(b, x, compute), { batch: [], contract: rows }),
  };
}
