/** @file Memory that matrix products of the CPU target need: what zig/cpu/gemm_plan.zig asks for, from above. */
import { alignUp } from "../util/shapes.ts";

/** The largest tile of zig/cpu/gemm_plan.zig, and what rounding to whole panels adds. */
const TILE_ROWS = 512;
const TILE_COLUMNS = 192;
const PANEL_ROWS = 16;
const PANEL_COLUMNS = 64;
/** Steps along k that are packed at a time. */
const BLOCK_STEPS = 256;

/** Of zig/cpu/gemm_few.zig: rows that it takes, its sums, and the largest A that it converts. */
const FEW_ROWS = 8;
const FEW_SUMS = 2 * 4096;
const FEW_ELEMENTS_MAX = 65536;

/** Packed rows of A, which all threads share; more rows go in pieces. */
const WORKSPACE_BYTES_MAX = 8 * 1024 * 1024;

/**
 * An upper bound of what any CPU level needs: partial sums of a tile, a packed tile of A, a packed panel of B. `m`: rows of all products
 * of a batch together, which tiles may span; `each`: rows of one product.
 */
export function gemmScratchBytes(m: number, n: number, k: number, each = m): number {
  const steps = Math.min(k + 3, BLOCK_STEPS);
  const tileRows = Math.min(TILE_ROWS, Math.max(PANEL_COLUMNS, m)) + PANEL_ROWS;
  const tileColumns = Math.min(TILE_COLUMNS, Math.max(PANEL_COLUMNS, n)) + PANEL_COLUMNS;
  const partial = k > BLOCK_STEPS ? tileRows * tileColumns : PANEL_ROWS * PANEL_COLUMNS;
  const parts = [partial, tileRows * steps, PANEL_COLUMNS * steps];
  const tile = parts.reduce((sum, elements) => sum + alignUp(4 * elements, 64), 0);
  return Math.max(tile, fewRowsBytes(each, k));
}

/** It may go the other way, where A need not be converted or is too large to. */
function fewRowsBytes(m: number, k: number): number {
  if (m > FEW_ROWS) return 0;
  const converted = m * k <= FEW_ELEMENTS_MAX ? m * k : 0;
  return 4 * (FEW_SUMS + alignUp(converted, 16));
}

/** Shared memory that makes a product of these sizes quick; it does with less. A short k needs none. */
export function gemmWorkspaceBytes(m: number, _n: number, k: number): number {
  if (k <= BLOCK_STEPS) return 0;
  return Math.min(WORKSPACE_BYTES_MAX, 4 * k * alignUp(m, PANEL_ROWS));
}
