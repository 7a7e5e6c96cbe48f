/** @file The ops that only passes make: one import and one entry each. */
import type { AnyOp } from "../define.ts";
import { copyLoweredOp } from "./copy.ts";
import { fillLoweredOp } from "./fill.ts";
import { mapLoweredOp } from "./map.ts";
import { mapReduceLoweredOp } from "./map_reduce.ts";
import { matmulLoweredOp } from "./matmul.ts";

export const loweredOps: readonly AnyOp[] = [
  copyLoweredOp,
  fillLoweredOp,
  mapLoweredOp,
  mapReduceLoweredOp,
  matmulLoweredOp,
];
