/** @file Memory that matrix products of the CPU target need: what zig/cpu/gemm_plan.zig asks for, from above. */
import { alignUp } from "../util/shapes.ts";

/** Tiles that zig/cpu/gemm_plan.zig may choose, rows by columns, and what their rounding to whole panels adds. */
const TILES = [
  [512, 192],
  [128, 768],
  [256, 384],
] as const;
const PANEL_ROWS = 16;
const PANEL_COLUMNS = 64;
/** Steps along k that are packed at a time. */
const BLOCK_STEPS = 256;

/** Packed form of the smaller operand, which all threads share; larger ones go in pieces. */
const WORKSPACE_BYTES_MAX = 8 * 1024 * 1024;

/** An upper bound of what any CPU level needs: partial sums of a tile, and packed panels of both operands. */
export function gemmScratchBytes(m: number, n: number, k: number): number {
  const steps = Math.min(k + 3, BLOCK_STEPS);
  const sizes = TILES.map(([rows, columns]) => {
    const tileRows = Math.min(rows, Math.max(PANEL_COLUMNS, m)) + PANEL_ROWS;
    const tileColumns = Math.min(columns, Math.max(PANEL_COLUMNS, n)) + PANEL_COLUMNS;
    const partial = k > BLOCK_STEPS ? tileRows * tileColumns : PANEL_ROWS * PANEL_COLUMNS;
    const parts = [partial, tileRows * steps, tileColumns * steps];
    return parts.reduce((sum, elements) => sum + alignUp(4 * elements, 64), 0);
  });
  return Math.max(...sizes);
}

/** Shared memory that makes a product of these sizes quick; it does with less. */
export function gemmWorkspaceBytes(m: number, n: number, k: number): number {
  return Math.min(WORKSPACE_BYTES_MAX, 4 * k * alignUp(Math.min(m, n), PANEL_ROWS));
}
