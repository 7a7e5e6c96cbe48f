/** @file What the parts of a model know of the rows of tokens they work on, besides the hidden states. */
import type { Cache } from "./cache.ts";
import { positionsOf } from "./positions.ts";
import type { Tensor } from "./tensor.ts";

export interface Sequence {
  /** i32 [batch, seq]: the index of each token within its document. */
  readonly positions: Tensor;
  /** u32 [batch, seq]: where in the row each token's document begins; attention sees nothing before. Absent: a row is one document. */
  readonly documents?: Tensor;
  /** Where generation keeps what earlier tokens left behind; tokens then see their row of it instead of each other. */
  readonly cache?: Cache;
}

/** Rows of one document each. */
export const wholeRows = (ids: Tensor): Sequence => ({ positions: positionsOf(ids) });
