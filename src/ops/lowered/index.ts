/** @file The ops that only passes make: one import and one entry each. */
import type { AnyOp } from "../define.ts";

export const loweredOps: readonly AnyOp[] = [];
