/** @file The index of every token within its row. */
import { iota } from "../ops/prim/iota.ts";
import { sizesOf } from "./axis.ts";
import { Tensor } from "./tensor.ts";

/** i32, with the axes of `ids` [batch, seq]. */
export function positionsOf(ids: Tensor): Tensor {
  const { trace } = ids;
  const dim = ids.dim("positions", "seq");
  return new Tensor(trace, iota(trace.b, sizesOf(ids.axes), dim, "i32"), ids.axes);
}
