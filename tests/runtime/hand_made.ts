/** @file Programs written by hand, instruction by instruction, and the little that it takes to run them. */
import { MapOp } from "../../src/program/abi.gen.ts";
import type {
  Program,
  ProgramBuffer,
  ProgramInstruction,
  ProgramOperand,
} from "../../src/program/program.ts";
import { serialize } from "../../src/program/serialize.ts";
import type { Device, DeviceBuffer, LoadedProgram } from "../../src/runtime/index.ts";
import type { DType } from "../../src/util/dtype.ts";
import { rowMajorStrides } from "../../src/util/shapes.ts";

export const operand = (
  buffer: number,
  shape: readonly number[],
  options: Partial<ProgramOperand> = {},
): ProgramOperand => ({
  buffer,
  offsetBytes: 0,
  dtype: "f32" as DType,
  shape,
  strides: rowMajorStrides(shape),
  output: false,
  ...options,
});

export const result = (buffer: number, shape: readonly number[], offsetBytes = 0): ProgramOperand =>
  operand(buffer, shape, { output: true, offsetBytes });

export const instruction = (
  opcode: string,
  operands: readonly ProgramOperand[],
  words: readonly number[] = [],
  node = 0,
): ProgramInstruction => ({
  opcode,
  operands,
  words,
  node,
  hasWorkspace: false,
  scope: `test.${opcode}`,
});

const bits = new DataView(new ArrayBuffer(4));

export function f32Bits(value: number): number {
  bits.setFloat32(0, value);
  return bits.getUint32(0);
}

/** out = left (op) right, elementwise. */
export const binary = (
  op: keyof typeof MapOp,
  left: ProgramOperand,
  right: ProgramOperand,
  out: ProgramOperand,
  node = 0,
): ProgramInstruction =>
  instruction("map", [left, right, out], [2, 1, 0, 1, MapOp[op] | (0 << 8) | (1 << 16), 64], node);

export const program = (
  buffers: readonly ProgramBuffer[],
  instructions: readonly ProgramInstruction[],
): Program => ({
  name: "hand_made",
  buffers,
  instructions,
  scratchBytesPerThread: 4096,
  inputs: [],
  outputs: [],
});

export interface Ready {
  readonly loaded: LoadedProgram;
  /** Bound to both slots. */
  readonly buffers: readonly DeviceBuffer[];
}

export function ready(device: Device, of: Program): Ready {
  const loaded = device.load(serialize(of));
  const buffers = of.buffers.map(({ bytes }, i) => {
    const buffer = device.alloc(bytes);
    loaded.bind(i, "both", buffer);
    return buffer;
  });
  return { loaded, buffers };
}

export function floats(buffer: DeviceBuffer | undefined): Float32Array {
  const values = new Float32Array((buffer?.bytes ?? 0) / 4);
  buffer?.read(values);
  return values;
}

/** state[4096] += input[4096], and output = the new state. */
export function accumulator(count: number): Program {
  const bytes = count * 4;
  return program(
    [
      { kind: "state", name: "sum", bytes },
      { kind: "input", name: "input", bytes },
      { kind: "output", name: "output", bytes },
    ],
    [
      binary("add", operand(0, [count]), operand(1, [count]), result(0, [count]), 1),
      instruction("copy", [operand(0, [count]), result(2, [count])], [], 2),
    ],
  );
}

/** A loss over targets that may lie outside of the four classes, then a copy that must not run after a failure. */
export const lookup: Program = program(
  [
    { kind: "input", name: "input", bytes: 16 * 4 },
    { kind: "state", name: "logits", bytes: 16 * 4 * 4 },
    { kind: "output", name: "output", bytes: 3 * 16 * 4 },
  ],
  [
    instruction(
      "cross_entropy",
      [
        operand(1, [16, 4]),
        operand(0, [16], { dtype: "i32" }),
        result(2, [16]),
        result(2, [16], 64),
      ],
      [],
      41,
    ),
    instruction("fill", [result(2, [16], 128)], [f32Bits(1)], 42),
  ],
);
