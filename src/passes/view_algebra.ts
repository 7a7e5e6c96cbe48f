/** @file Views of views: what a reshape, transpose, broadcast or slice makes of strides, forwards and backwards. */
import type { Node, TensorType } from "../ir/graph.ts";
import { isContiguous, type View } from "../ops/kernel.ts";
import type { BroadcastAttrs } from "../ops/prim/broadcast.ts";
import type { SliceAttrs } from "../ops/prim/slice.ts";
import { elementCount, rowMajorStrides, type Shape } from "../util/shapes.ts";

export const wholeView = ({ shape, dtype }: TensorType): View => ({
  shape,
  strides: rowMajorStrides(shape),
  offset: 0,
  dtype,
});

/** Dims of size > 1, neighbours joined where they are one run of memory: [size, stride] each. */
function runs({ shape, strides }: View): [number, number][] {
  const list: [number, number][] = [];
  let last: [number, number] | undefined;
  for (let dim = 0; dim < shape.length; dim++) {
    const size = shape[dim] ?? 1;
    if (size === 1) continue;
    const stride = strides[dim] ?? 0;
    if (last !== undefined && last[1] === stride * size) {
      last[0] *= size;
      last[1] = stride;
    } else {
      last = [size, stride];
      list.push(last);
    }
  }
  return list;
}

/** The same elements in the same order under another shape, or null where that needs a copy. */
export function reshapeView(view: View, shape: Shape): View | null {
  if (elementCount(shape) <= 1 || isContiguous(view)) {
    const { offset, dtype } = view;
    return { shape, strides: rowMajorStrides(shape), offset, dtype };
  }
  const strides = new Array<number>(shape.length).fill(0);
  const sources = runs(view);
  let dim = shape.length - 1;
  for (let i = sources.length - 1; i >= 0; i--) {
    const [size, stride] = sources[i] ?? [1, 0];
    let rest = size;
    let step = stride;
    while (rest > 1) {
      const target = shape[dim] ?? 0;
      if (dim < 0 || target === 0 || rest % target !== 0) return null;
      strides[dim] = step;
      step *= target;
      rest /= target;
      dim--;
    }
  }
  return { ...view, shape, strides };
}

export const transposeView = (view: View, perm: readonly number[]): View => ({
  ...view,
  shape: perm.map((dim) => view.shape[dim] ?? 1),
  strides: perm.map((dim) => view.strides[dim] ?? 0),
});

export function broadcastView(view: View, { shape, dims }: BroadcastAttrs): View {
  const strides = shape.map(() => 0);
  dims.forEach((dim, i) => {
    if (view.shape[i] === shape[dim]) strides[dim] = view.strides[i] ?? 0;
  });
  return { ...view, shape, strides };
}

/** The box from `starts` (inclusive) to `limits` (exclusive). */
export function sliceView(view: View, starts: readonly number[], limits: readonly number[]): View {
  const offset = starts.reduce((sum, start, dim) => sum + start * (view.strides[dim] ?? 0), 0);
  const shape = starts.map((start, dim) => (limits[dim] ?? 0) - start);
  return { ...view, shape, offset: view.offset + offset };
}

/** What a view op (not `get`) makes of its operand's view; null where memory does not allow it. */
export function applyView(node: Node, view: View): View | null {
  switch (node.op) {
    case "reshape":
      return reshapeView(view, node.types[0]?.shape ?? []);
    case "transpose":
      return transposeView(view, node.attrs.perm as readonly number[]);
    case "broadcast":
      return broadcastView(view, node.attrs as BroadcastAttrs);
    case "slice": {
      const { starts, limits } = node.attrs as SliceAttrs;
      return sliceView(view, starts, limits);
    }
    case "bitcast":
      return { ...view, dtype: node.types[0]?.dtype ?? view.dtype };
    default:
      return view;
  }
}

/** Where the operand of a view op must lie for the result to lie at `target`; null where that is impossible. */
export function unapplyView(node: Node, target: View, operand: TensorType): View | null {
  switch (node.op) {
    case "reshape":
      return reshapeView(target, operand.shape);
    case "transpose": {
      const perm = node.attrs.perm as readonly number[];
      const inverse = perm.map((_, dim) => perm.indexOf(dim));
      return transposeView(target, inverse);
    }
    case "bitcast":
      return { ...target, dtype: operand.dtype };
    case "stop_gradient":
      return target;
    default:
      return null;
  }
}
