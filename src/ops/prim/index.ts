/** @file The primitives: the closed set that every backend runs. */
import type { AnyOp } from "../define.ts";

export const primOps: readonly AnyOp[] = [];
