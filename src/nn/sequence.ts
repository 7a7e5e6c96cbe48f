/** @file What the parts of a model know of the rows of tokens they work on, besides the hidden states. */
import { positionsOf } from "./positions.ts";
import type { Tensor } from "./tensor.ts";

export interface Sequence {
  /** i32 [batch, seq]: the index of each token within its document. */
  readonly positions: Tensor;
  /** i32 [batch, seq]: where in the row each token's document begins; attention sees nothing before. Absent: a row is one document. */
  readonly documents?: Tensor;
}

/** Rows of one document each. */
export const wholeRows = (ids: Tensor): Sequence => ({ positions: positionsOf(ids) });
