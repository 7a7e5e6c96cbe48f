/**
 * @file Scratch that the attention kernels need per thread: packed queries, keys and values of one tile. Mirrors `Buffers`
 * of zig/kernels/attention.zig and attention_grad.zig for the widest vectors, so it is enough on every CPU level.
 */
import { alignUp } from "../../util/shapes.ts";
import type { AttentionSizes } from "./attention_mask.ts";

/** Wider heads are decomposed. */
export const HEAD_DIM_MAX = 512;

const LANES = 16;
/** Positions of a strip, and keys of a block. */
const STRIP = 6;
const BLOCK_KEYS = 64;
/** Rows (positions times heads of the group) that a tile aims at. */
const ROWS_WANTED = 192;

/** Positions of one chunk, in whole strips. */
function chunkPositions(length: number, repeats: number): number {
  const most = Math.max(24, Math.floor(ROWS_WANTED / repeats));
  const chunks = Math.ceil(length / most);
  return alignUp(Math.ceil(length / chunks), STRIP);
}

/** Each piece starts on a cache line. */
const total = (pieces: readonly number[]): number =>
  pieces.reduce((bytes, piece) => bytes + alignUp(piece, 64), 0);

export function attentionScratchBytes({ length, heads, groups, dim }: AttentionSizes): number {
  const repeats = heads / groups;
  const positions = chunkPositions(length, repeats);
  const rows = positions * repeats;
  const padded = alignUp(dim, LANES);
  return total([
    4 * rows * padded,
    4 * rows * padded,
    4 * dim * BLOCK_KEYS,
    4 * BLOCK_KEYS * padded,
    4 * STRIP * BLOCK_KEYS,
    (4 * rows * LANES) / STRIP,
    4 * rows * LANES,
    8 * positions,
    (16 * positions) / STRIP,
  ]);
}
