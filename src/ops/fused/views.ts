/** @file Operand views: contiguous tensors seen with their leading dims collapsed, and which strides a kernel takes. */
import { assert } from "../../util/errors.ts";
import { elementCount, rowMajorStrides, type Shape, shapeText } from "../../util/shapes.ts";
import { isContiguous, type View } from "../kernel.ts";

/** The same elements under another shape of equal count. */
export function reshaped(view: View, shape: Shape): View {
  assert(isContiguous(view), `operand ${shapeText(view.shape)} is not contiguous`);
  assert(
    elementCount(shape) === elementCount(view.shape),
    `operand ${shapeText(view.shape)} does not fit ${shapeText(shape)}`,
  );
  return { shape, strides: rowMajorStrides(shape), offset: view.offset, dtype: view.dtype };
}

/** [M, C]: rows of the last dim. */
export function matrix(view: View): View {
  const columns = view.shape[view.shape.length - 1] ?? 1;
  return reshaped(view, [elementCount(view.shape.slice(0, -1)), columns]);
}

/** [n]: all elements in order. */
export const flat = (view: View): View => reshaped(view, [elementCount(view.shape)]);

/** Elements of the last dim are neighbours; the other dims may have any strides. */
export function hasDenseRows(view: View): boolean {
  const last = view.shape.length - 1;
  return last < 0 || view.shape[last] === 1 || view.strides[last] === 1;
}

/** No two indices share an element, so the view can be written. */
export function isWritable(view: View): boolean {
  return view.shape.every((size, dim) => size === 1 || view.strides[dim] !== 0);
}
