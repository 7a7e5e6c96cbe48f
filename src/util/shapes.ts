/** @file Small arithmetic on shapes (row-major throughout). */

export type Shape = readonly number[];

export const elementCount = (shape: Shape): number => shape.reduce((a, b) => a * b, 1);

/** Row-major strides in elements. */
export function rowMajorStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = step;
    step *= shape[i] ?? 1;
  }
  return strides;
}

export const sameShape = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((size, i) => size === b[i]);

export const shapeText = (shape: Shape): string => `[${shape.join(", ")}]`;

export const alignUp = (value: number, alignment: number): number =>
  Math.ceil(value / alignment) * alignment;
