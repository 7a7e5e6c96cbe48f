/**
 * @file Scratch that the attention kernels need per thread: packed queries, keys and values of one tile. Mirrors `Buffers`
 * of zig/kernels/attention.zig and attention_grad.zig; vectors differ between CPU levels, so it takes the larger need.
 */
import { alignUp } from "../../util/shapes.ts";
import type { AttentionSizes } from "./attention_mask.ts";

/** Wider heads are decomposed. */
export const HEAD_DIM_MAX = 512;

const LANES = [8, 16] as const;
/** Positions of a strip, and keys of a block. */
const STRIP = 6;
const BLOCK_KEYS = 64;
/** Forward: most rows (positions times heads of the group) that a tile aims at. */
const ROWS_MAX = 384;
/** Backward: rows of a query block, blocks of a tile, and what packing a whole head may take. */
const BLOCK_ROWS = 16 * STRIP;
const TILE_BLOCKS = 2;
const WHOLE_BYTES_MAX = 8 * 1024 * 1024;

const inStrips = (positions: number): number => alignUp(positions, STRIP);

/** Each piece starts on a cache line. */
const total = (pieces: readonly number[]): number =>
  pieces.reduce((bytes, piece) => bytes + alignUp(piece, 64), 0);

function forwardBytes({ length, heads, groups, dim }: AttentionSizes, lanes: number): number {
  const repeats = heads / groups;
  const most = Math.max(STRIP, Math.floor(ROWS_MAX / repeats));
  const positions = inStrips(Math.ceil(length / Math.ceil(length / most)));
  const rows = positions * repeats;
  const padded = alignUp(dim, lanes);
  return total([
    4 * rows * padded,
    4 * rows * padded,
    4 * dim * BLOCK_KEYS,
    4 * BLOCK_KEYS * padded,
    4 * STRIP * BLOCK_KEYS,
    (4 * rows * lanes) / STRIP,
    4 * rows * lanes,
    8 * positions,
    (16 * positions) / STRIP,
  ]);
}

function backwardBytes({ length, dim }: AttentionSizes, lanes: number): number {
  const padded = alignUp(dim, lanes);
  const whole = inStrips(length);
  const fits = 3 * whole * padded * 4 <= WHOLE_BYTES_MAX;
  const rows = Math.max(TILE_BLOCKS * BLOCK_ROWS, fits ? whole : 0);
  const weights = 4 * (BLOCK_ROWS + STRIP) * BLOCK_KEYS;
  const slot = [
    4 * dim * BLOCK_KEYS,
    4 * dim * BLOCK_KEYS,
    4 * BLOCK_KEYS * padded,
    4 * inStrips(BLOCK_KEYS) * padded,
    4 * inStrips(BLOCK_KEYS) * padded,
  ];
  return total([
    ...Array.from({ length: 3 }, () => 4 * rows * padded),
    4 * rows,
    4 * rows,
    8 * rows,
    (16 * rows) / STRIP,
    weights,
    weights,
    4 * STRIP * BLOCK_KEYS,
    ...Array.from({ length: TILE_BLOCKS }, () => slot).flat(),
  ]);
}

export const attentionScratchBytes = (sizes: AttentionSizes): number =>
  Math.max(...LANES.map((lanes) => forwardBytes(sizes, lanes)));

export const attentionGradScratchBytes = (sizes: AttentionSizes): number =>
  Math.max(...LANES.map((lanes) => backwardBytes(sizes, lanes)));
