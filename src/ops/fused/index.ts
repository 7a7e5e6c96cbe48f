/** @file The fused ops: one import and one entry each. */
import type { AnyOp } from "../define.ts";

export const fusedOps: readonly AnyOp[] = [];
