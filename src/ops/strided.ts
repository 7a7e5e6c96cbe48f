/** @file Strided windows onto flat f64 arrays, with which the reference meaning of all data movement is written. */
import { elementCount, type Shape } from "../util/shapes.ts";
import { at } from "./check.ts";

/** Calls `visit` with the window's position for every element, in row-major order of `shape`. */
function walk(
  shape: Shape,
  strides: readonly number[],
  offset: number,
  visit: (flat: number, position: number) => void,
): void {
  const count = elementCount(shape);
  const index = new Int32Array(shape.length);
  let position = offset;
  for (let flat = 0; flat < count; flat++) {
    visit(flat, position);
    for (let d = shape.length - 1; d >= 0; d--) {
      const next = at(index, d) + 1;
      position += at(strides, d);
      index[d] = next;
      if (next < at(shape, d)) break;
      position -= next * at(strides, d);
      index[d] = 0;
    }
  }
}

/** The window's elements, packed. */
export function readWindow(
  source: Float64Array,
  shape: Shape,
  strides: readonly number[],
  offset = 0,
): Float64Array {
  const out = new Float64Array(elementCount(shape));
  walk(shape, strides, offset, (flat, position) => {
    out[flat] = at(source, position);
  });
  return out;
}

/** Writes packed `values` through the window. */
export function writeWindow(
  target: Float64Array,
  shape: Shape,
  strides: readonly number[],
  offset: number,
  values: Float64Array,
): void {
  walk(shape, strides, offset, (flat, position) => {
    target[position] = at(values, flat);
  });
}

/** Position of the element at `index`. */
export const positionOf = (index: readonly number[], strides: readonly number[]): number =>
  index.reduce((sum, i, d) => sum + i * at(strides, d), 0);
