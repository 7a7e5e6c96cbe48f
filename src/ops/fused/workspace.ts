/** @file Workspace sizes that must equal what the kernels' `check` demand. */
import { dtypeBytes } from "../../util/dtype.ts";
import { alignUp } from "../../util/shapes.ts";
import { gemmScratchBytes, gemmWorkspaceBytes } from "../gemm_memory.ts";
import type { Scratch, TargetKind, View } from "../kernel.ts";
import { rowCount } from "./compose.ts";
import { lastSize } from "./expect.ts";
import type { Compute } from "./precision.ts";

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

/** Bytes of logits that a GPU holds at a time: every chunk reads and writes dw once, which is to cost little beside its products. */
const GPU_CHUNK_BYTES = 800 * 1024 * 1024;
const GPU_ROWS = 128;
/** Rows of logits begin at multiples of so many elements. */
const GPU_STRIDE = 8;

/** As `rowsPerChunk`, for a GPU: as many rows as fit, in multiples of 128. Logits have the products' dtype. */
function rowsPerGpuChunk(rows: number, vocab: number, compute: Compute): number {
  const fitting = Math.floor(GPU_CHUNK_BYTES / (dtypeBytes(compute) * vocab * GPU_ROWS));
  const chunks = Math.ceil(rows / (Math.max(1, fitting) * GPU_ROWS));
  return Math.min(rows, alignUp(Math.ceil(rows / chunks), GPU_ROWS));
}

/** Of x [M, C] and w [V, C]. */
export interface LossSizes {
  readonly m: number;
  readonly c: number;
  readonly v: number;
  readonly compute: Compute;
}

export const lossSizes = ([x, w]: readonly View[], compute: Compute): LossSizes => ({
  m: rowCount(x?.shape ?? []),
  c: lastSize(x?.shape ?? []),
  v: w?.shape[0] ?? 1,
  compute,
});

export const lossChunk = ({ m, v, compute }: LossSizes, target: TargetKind): number =>
  target === "cuda" ? rowsPerGpuChunk(m, v, compute) : rowsPerChunk(m, v);

export function lossScratch(sizes: LossSizes, grad: boolean, target: TargetKind): Scratch {
  const { m, c, v, compute } = sizes;
  if (target === "cpu") return linearLossScratch(m, c, v, grad);
  const elements = lossChunk(sizes, target) * alignUp(v, GPU_STRIDE);
  return { workspaceBytes: alignUp(elements * dtypeBytes(compute), 64) };
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
