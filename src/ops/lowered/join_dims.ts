/** @file Joins neighbouring dims of operands that walk memory together, so that kernels see few long loops. */
import type { View } from "../kernel.ts";

/**
 * Groups of neighbouring dims (of size > 1) that are one run in all `views`, which have the shape `shape`.
 * `separate` forbids joining a dim with the previous one.
 */
export function dimGroups(
  shape: readonly number[],
  views: readonly View[],
  separate: (dim: number, previous: number) => boolean = () => false,
): number[][] {
  const groups: number[][] = [];
  let previous = -1;
  for (let dim = 0; dim < shape.length; dim++) {
    if (shape[dim] === 1) continue;
    const group = groups[groups.length - 1];
    const size = shape[dim] ?? 1;
    const before = previous;
    const joined =
      group !== undefined &&
      !separate(dim, before) &&
      views.every(({ strides }) => strides[before] === (strides[dim] ?? 0) * size);
    if (joined) group.push(dim);
    else groups.push([dim]);
    previous = dim;
  }
  return groups;
}

/** The view with each group as one dim; a view without dims becomes [1]. */
export function joinDims(view: View, groups: readonly (readonly number[])[]): View {
  if (groups.length === 0) return { ...view, shape: [1], strides: [1] };
  return {
    ...view,
    shape: groups.map((group) => group.reduce((n, dim) => n * (view.shape[dim] ?? 1), 1)),
    strides: groups.map((group) => view.strides[group[group.length - 1] ?? 0] ?? 0),
  };
}
