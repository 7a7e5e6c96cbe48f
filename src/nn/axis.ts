/** @file A tensor dimension with a name. Names, not positions, decide what is contracted, broadcast and sharded. */

export interface Axis {
  readonly name: string;
  readonly size: number;
}

export const axis = (name: string, size: number): Axis => ({ name, size });

export const sizesOf = (axes: readonly Axis[]): number[] => axes.map((a) => a.size);

/** `[batch=8, seq=64]`, as messages show axes. */
export const axesText = (axes: readonly Axis[]): string =>
  `[${axes.map((a) => `${a.name}=${a.size}`).join(", ")}]`;
