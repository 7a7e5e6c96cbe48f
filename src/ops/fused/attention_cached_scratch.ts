/**
 * @file Memory that the kernel of `attention_cached` needs beside its operands. Mirrors `Buffers` and `Partials` of
 * zig/kernels/attention_cached.zig; vectors differ between CPU levels, so it takes the larger need.
 */
import { alignUp } from "../../util/shapes.ts";
import type { Scratch } from "../kernel.ts";

export interface CachedSizes {
  readonly batch: number;
  readonly length: number;
  readonly heads: number;
  readonly groups: number;
  readonly places: number;
  readonly dim: number;
}

const LANES = [8, 16] as const;
const STRIP = 6;
const BLOCK_KEYS = 64;
/** Places whose weights are summed before they are joined with the others. */
const CHUNK_KEYS = 256;
/** Rows (tokens times heads of the group) of a tile. */
const ROWS_MAX = 96;

function perThreadBytes({ length, heads, groups, dim }: CachedSizes, lanes: number): number {
  const repeats = heads / groups;
  const tokens = Math.min(length, Math.max(1, Math.floor(ROWS_MAX / repeats)));
  const rows = alignUp(tokens * repeats, STRIP);
  const padded = alignUp(dim, lanes);
  const pieces = [
    4 * rows * padded,
    4 * rows * padded,
    4 * rows * padded,
    4 * dim * BLOCK_KEYS,
    4 * BLOCK_KEYS * padded,
    4 * STRIP * BLOCK_KEYS,
    (4 * rows * lanes) / STRIP,
    4 * rows * lanes,
    4 * rows,
    4 * rows,
    8 * rows,
    (16 * rows) / STRIP,
  ];
  return pieces.reduce((bytes, piece) => bytes + alignUp(piece, 64), 0);
}

/** One token a row: chunks of its places are shared between threads and meet in the workspace. */
function workspaceBytes({ batch, length, heads, places, dim }: CachedSizes, lanes: number): number {
  if (length !== 1) return 0;
  return 4 * batch * heads * Math.ceil(places / CHUNK_KEYS) * (alignUp(dim, lanes) + lanes);
}

export function attentionCachedScratch(sizes: CachedSizes): Scratch {
  return {
    perThreadBytes: Math.max(...LANES.map((lanes) => perThreadBytes(sizes, lanes))),
    workspaceBytes: Math.max(...LANES.map((lanes) => workspaceBytes(sizes, lanes))),
  };
}
