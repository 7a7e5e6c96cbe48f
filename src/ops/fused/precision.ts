/** @file Attributes about precision that several fused ops share. */
import type { Node, TensorType } from "../../ir/graph.ts";
import type { TargetKind } from "../kernel.ts";
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

/** The CPU has these inputs and results in f32 only; a GPU's kernels take bf16 as well. */
export const wideOnCpu =
  (inputs: readonly number[], results: readonly number[]) =>
  (node: Node, types: readonly TensorType[], target: TargetKind): boolean =>
    target === "cuda" ||
    (inputs.every((i) => (types[i]?.dtype ?? "f32") === "f32") &&
      results.every((i) => node.types[i]?.dtype === "f32"));

/** Word of the opcode for `compute`. */
export const computeWord = (compute: Compute): number => (compute === "bf16" ? 1 : 0);
