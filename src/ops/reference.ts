/** @file Values of the slow reference executor: every dtype is held as f64 (exact for i32, u32 and bool). */
import type { DType } from "../util/dtype.ts";
import { elementCount, type Shape } from "../util/shapes.ts";

export interface RefTensor {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly data: Float64Array;
}

export function refTensor(shape: Shape, dtype: DType, data?: ArrayLike<number>): RefTensor {
  const values = new Float64Array(elementCount(shape));
  if (data !== undefined) values.set(data);
  return { shape, dtype, data: values };
}

/** Calls `visit` for every multi-index of `shape`, in row-major order. The index array is reused. */
export function eachIndex(shape: Shape, visit: (index: number[], flat: number) => void): void {
  const count = elementCount(shape);
  const index = new Array<number>(shape.length).fill(0);
  for (let flat = 0; flat < count; flat++) {
    visit(index, flat);
    for (let d = shape.length - 1; d >= 0; d--) {
      const next = (index[d] ?? 0) + 1;
      index[d] = next;
      if (next < (shape[d] ?? 1)) break;
      index[d] = 0;
    }
  }
}
