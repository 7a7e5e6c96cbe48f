/**
 * @file Sums the contributions to one cotangent. The slices of one value (q, k and v of a projection) give back pads
 * that do not overlap: where they tile the value along a dim they become one concat instead of sums of zeros.
 */
import type { Id } from "../ir/graph.ts";
import type { Builder } from "../ops/builder.ts";
import { at } from "../ops/check.ts";
import { add } from "../ops/prim/add.ts";
import { concat } from "../ops/prim/concat.ts";
import type { PadAttrs } from "../ops/prim/pad.ts";
import type { Shape } from "../util/shapes.ts";

/** A contribution that is zero outside [start, end) of one dim. */
interface Tile {
  readonly id: Id;
  readonly inner: Id;
  readonly dim: number;
  readonly start: number;
  readonly end: number;
}

/** The sum of one or more cotangents of one shape, in the order they came. */
export function accumulate(b: Builder, cotangents: readonly Id[]): Id {
  const { shape } = b.type(at(cotangents, 0));
  const joined = joinTiles(b, cotangents, shape);
  return joined.slice(1).reduce((sum, id) => add(b, sum, id), at(joined, 0));
}

function tileOf(b: Builder, id: Id, shape: Shape): Tile | null {
  const node = b.node(id);
  if (node.op !== "pad") return null;
  const { low, high } = node.attrs as PadAttrs;
  const padded = shape.map((_, d) => d).filter((d) => at(low, d) + at(high, d) > 0);
  const [dim] = padded;
  if (dim === undefined || padded.length > 1) return null;
  const end = at(shape, dim) - at(high, dim);
  return { id, inner: at(node.inputs, 0), dim, start: at(low, dim), end };
}

function joinTiles(b: Builder, cotangents: readonly Id[], shape: Shape): Id[] {
  const tiles = cotangents.map((id) => tileOf(b, id, shape)).filter((tile) => tile !== null);
  const left = [...cotangents];
  const joined: Id[] = [];
  for (const dim of shape.keys()) {
    let pool = tiles.filter((tile) => tile.dim === dim);
    for (let row = tiling(pool, at(shape, dim)); row !== null; row = tiling(pool, at(shape, dim))) {
      const used = new Set(row);
      pool = pool.filter((tile) => !used.has(tile));
      for (const { id } of row) left.splice(left.indexOf(id), 1);
      joined.push(
        concat(
          b,
          row.map((tile) => tile.inner),
          dim,
        ),
      );
    }
  }
  return [...joined, ...left];
}

/** Tiles that follow one another from 0 to `size`, or null. */
function tiling(pool: readonly Tile[], size: number): Tile[] | null {
  const row: Tile[] = [];
  for (let end = 0; end < size; ) {
    const next = pool.find((tile) => tile.start === end);
    if (next === undefined) return null;
    row.push(next);
    end = next.end;
  }
  return row;
}
