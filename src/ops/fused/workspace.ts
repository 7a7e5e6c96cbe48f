/** @file Workspace sizes that must equal what the kernels' `check` demand. */
import { alignUp } from "../../util/shapes.ts";
import { gemmScratchBytes, gemmWorkspaceBytes } from "../gemm_memory.ts";
import type { Scratch } from "../kernel.ts";

/** Rows whose column sums one tile keeps; `partial_rows` of zig/cpu/rows.zig. */
const PARTIAL_ROWS = 32;

/** Partial column sums of `vectors` vectors over blocks of rows. */
export const partialSumBytes = (rows: number, columns: number, vectors: number): number =>
  Math.ceil(rows / PARTIAL_ROWS) * columns * vectors * 4;

const CHUNK_LOGIT_BYTES = 64 * 1024 * 1024;

/**
 * Rows of logits that exist at a time in the chunked cross-entropy: at most 64 MiB of them, a multiple of 8, at least 32,
 * at most M; chunks of about equal size. A function of M and V alone, so that results do not depend on threads.
 */
export function rowsPerChunk(rows: number, vocab: number): number {
  const fitting = Math.floor(CHUNK_LOGIT_BYTES / (4 * vocab) / 8) * 8;
  const chunks = Math.ceil(rows / Math.max(32, fitting));
  return Math.min(rows, Math.max(32, alignUp(Math.ceil(rows / chunks), 8)));
}

/** Logits of one chunk of rows, and packing space for the products: x [M, C] with w [V, C], and with `grad` dx and dw. */
export function linearLossScratch(m: number, c: number, v: number, grad: boolean): Scratch {
  const chunk = rowsPerChunk(m, v);
  const sizes: (readonly [number, number, number])[] = [];
  // The last chunk may be smaller, and is cut into other tiles.
  for (const rows of [chunk, m % chunk]) {
    sizes.push([rows, v, c]);
    if (grad) sizes.push([rows, c, v], [v, c, rows]);
  }
  const packing = Math.max(...sizes.map((size) => gemmWorkspaceBytes(...size)));
  return {
    workspaceBytes: alignUp(chunk * v * 4, 64) + alignUp(packing, 64),
    perThreadBytes: Math.max(...sizes.map((size) => gemmScratchBytes(...size))),
  };
}
