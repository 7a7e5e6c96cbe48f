/**
 * @file A program as data, before it becomes bytes: buffers and a flat list of instructions. `serialize.ts` writes the
 * wire format, `text.ts` the dump that golden tests compare.
 */
import type { DType } from "../util/dtype.ts";

/**
 * arena: temporaries, shared by all programs of a job · state: persists between runs, shared by name ·
 * input: written by the host before a run (two slots) · output: read by the host after a run (two slots).
 */
export type BufferKind = "arena" | "state" | "input" | "output";

export interface ProgramBuffer {
  readonly kind: BufferKind;
  /** State: its name (`param/blocks.0.attn.qkv`). The others: their kind. At most one arena, input and output each. */
  readonly name: string;
  readonly bytes: number;
}

export interface ProgramOperand {
  readonly buffer: number;
  readonly offsetBytes: number;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** In elements. */
  readonly strides: readonly number[];
  readonly output: boolean;
}

export interface ProgramInstruction {
  /** Name in `Opcode` of zig/abi.zig. */
  readonly opcode: string;
  readonly operands: readonly ProgramOperand[];
  /** u32 words (f32 immediates as bits). */
  readonly words: readonly number[];
  /** The last operand is the shared workspace. */
  readonly hasWorkspace: boolean;
  readonly node: number;
  readonly scope: string;
}

/** Where a named host value lies inside the input or output buffer. */
export interface HostSlot {
  readonly name: string;
  readonly offsetBytes: number;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

export interface Program {
  readonly name: string;
  readonly buffers: readonly ProgramBuffer[];
  readonly instructions: readonly ProgramInstruction[];
  /** Private scratch that every thread needs; the library allocates it once per thread and device. */
  readonly scratchBytesPerThread: number;
  readonly inputs: readonly HostSlot[];
  readonly outputs: readonly HostSlot[];
}
