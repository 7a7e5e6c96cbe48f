/** @file Workspace sizes that must equal what the kernels' `check` demands. */

/** Rows whose column sums one tile keeps; `partial_rows` of zig/cpu/rows.zig. */
const PARTIAL_ROWS = 32;

/** Partial column sums of `vectors` vectors over blocks of rows. */
export const partialSumBytes = (rows: number, columns: number, vectors: number): number =>
  Math.ceil(rows / PARTIAL_ROWS) * columns * vectors * 4;

const CHUNK_LOGIT_BYTES = 16 * 1024 * 1024;

/**
 * Rows of logits that exist at a time in the chunked cross-entropy: about 16 MiB of them, a multiple of 8, at least 32,
 * at most M. A function of M and V alone, so that results do not depend on threads.
 */
export function rowsPerChunk(rows: number, vocab: number): number {
  const fitting = Math.floor(CHUNK_LOGIT_BYTES / (4 * vocab) / 8) * 8;
  return Math.min(rows, Math.max(32, fitting));
}
