/**
 * @file How an op becomes one instruction of the CPU target. Ops know nothing of the wire format: they name an
 * opcode of zig/abi.zig and give its words; the encoder turns names into numbers.
 */
import type { Node } from "../ir/graph.ts";
import type { DType } from "../util/dtype.ts";

/** A strided window onto a buffer; strides and offset in elements. Stride 0 repeats (broadcast). */
export interface View {
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly offset: number;
  readonly dtype: DType;
}

/** Immediate words of an instruction: integers as u32, `{f32: x}` as the bits of an f32. */
export type Word = number | { readonly f32: number };

export interface Lowered {
  /** Name in `Opcode` of zig/abi.zig. */
  readonly opcode: string;
  readonly words: readonly Word[];
  /** Operand views when they differ from "inputs in order, then results in order" (e.g. collapsed dims). */
  readonly inputs?: readonly View[];
  readonly outputs?: readonly View[];
}

/** Whose kernels run an instruction: they are the same instructions, but not the same workspaces. */
export type TargetKind = "cpu" | "cuda";

export interface Scratch {
  /** Shared by all threads during this instruction; becomes the last operand (u32 elements). */
  readonly workspaceBytes?: number;
  /** Private to each thread during this instruction. */
  readonly perThreadBytes?: number;
}

export interface CpuKernel {
  /** False: `choose` decomposes the op instead. */
  supports?(
    node: Node,
    inputTypes: readonly { shape: readonly number[]; dtype: DType }[],
    target: TargetKind,
  ): boolean;
  /** Whether input `index` may have this view; default: only contiguous ones, the planner copies otherwise. */
  acceptsInput?(node: Node, index: number, view: View): boolean;
  /** Whether result `index` may be written through this view (into a part of a concat, say); default: contiguous. */
  acceptsOutput?(node: Node, index: number, view: View): boolean;
  /** Pairs [result, input] that may share one buffer of the same bytes, when the input dies at this node. */
  inPlace?(node: Node): readonly (readonly [number, number])[];
  scratch?(node: Node, inputs: readonly View[], target: TargetKind): Scratch;
  lower(node: Node, inputs: readonly View[], outputs: readonly View[], target: TargetKind): Lowered;
}

export function isContiguous(view: View): boolean {
  let step = 1;
  for (let i = view.shape.length - 1; i >= 0; i--) {
    const size = view.shape[i] ?? 1;
    if (size !== 1 && view.strides[i] !== step) return false;
    step *= size;
  }
  return true;
}
