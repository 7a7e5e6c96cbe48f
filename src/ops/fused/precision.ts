/** @file Attributes about precision that several fused ops share. */
import { expectOneOf } from "./expect.ts";

/** Operands of the matrix products: f32, or rounded to bf16 with f32 accumulation. */
export type Compute = "f32" | "bf16";

/** Dtype in which a result is stored. Absent: that of the first input. */
export type Storage = "f32" | "bf16";

export function expectCompute(op: string, compute: string): void {
  expectOneOf(op, "compute", compute, ["f32", "bf16"]);
}

export function expectStorage(op: string, out: string | undefined): void {
  if (out !== undefined) expectOneOf(op, "out", out, ["f32", "bf16"]);
}

/** Word of the opcode for `compute`. */
export const computeWord = (compute: Compute): number => (compute === "bf16" ? 1 : 0);
