/** @file A program as bytes, in the format that zig/wire.zig describes and the library validates. */
import { assert } from "../util/errors.ts";
import { Dtype, Opcode, WIRE_MAGIC, WIRE_VERSION, WireBytes } from "./abi.gen.ts";
import type {
  BufferKind,
  HostSlot,
  Program,
  ProgramInstruction,
  ProgramOperand,
} from "./program.ts";

const RANK_MAX = 8;
const FLAG_WORKSPACE = 1;
const KINDS = { arena: 0, state: 1, input: 2, output: 3 } satisfies Record<BufferKind, number>;
const U32 = 2 ** 32;

interface Range {
  readonly offset: number;
  readonly bytes: number;
}

/** Names, each kept once. */
class Text {
  private readonly parts: Uint8Array[] = [];
  private readonly known = new Map<string, Range>();
  private readonly encoder = new TextEncoder();
  bytes = 0;

  add(text: string): Range {
    const known = this.known.get(text);
    if (known !== undefined) return known;
    const part = this.encoder.encode(text);
    const range = { offset: this.bytes, bytes: part.length };
    this.parts.push(part);
    this.bytes += part.length;
    this.known.set(text, range);
    return range;
  }

  writeTo(target: Uint8Array, offset: number): void {
    let at = offset;
    for (const part of this.parts) {
      target.set(part, at);
      at += part.length;
    }
  }
}

class Writer {
  private readonly view: DataView;
  private at = 0;

  constructor(buffer: ArrayBuffer) {
    this.view = new DataView(buffer);
  }

  get position(): number {
    return this.at;
  }

  u8(value: number): void {
    assert(value >= 0 && value < 256, `${value} is not a byte`);
    this.view.setUint8(this.at, value);
    this.at += 1;
  }

  u16(value: number): void {
    assert(value >= 0 && value < 65536, `${value} does not fit into 16 bits`);
    this.view.setUint16(this.at, value, true);
    this.at += 2;
  }

  u32(value: number): void {
    assert(Number.isInteger(value) && value >= 0 && value < U32, `${value} is not a u32`);
    this.view.setUint32(this.at, value, true);
    this.at += 4;
  }

  u64(value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, `${value} is not a u64`);
    this.u32(value % U32);
    this.u32(Math.floor(value / U32));
  }

  range(range: Range): void {
    this.u32(range.offset);
    this.u32(range.bytes);
  }

  /** `values`, then zeros up to the largest rank. */
  padded(values: readonly number[], write: (value: number) => void): void {
    assert(values.length <= RANK_MAX, `rank ${values.length} is more than ${RANK_MAX}`);
    for (let i = 0; i < RANK_MAX; i++) write(values[i] ?? 0);
  }
}

function opcodeOf(name: string): number {
  const code = (Opcode as Readonly<Record<string, number>>)[name];
  assert(code !== undefined, `no opcode ${name}`);
  return code;
}

function writeOperand(w: Writer, operand: ProgramOperand): void {
  assert(operand.shape.length === operand.strides.length, "one stride per dim");
  w.u64(operand.offsetBytes);
  w.u32(operand.buffer);
  w.u8(Dtype[operand.dtype]);
  w.u8(operand.shape.length);
  w.u8(operand.output ? 1 : 0);
  w.u8(0);
  w.padded(operand.shape, (dim) => w.u32(dim));
  w.padded(operand.strides, (stride) => w.u64(stride));
}

function writeInstruction(w: Writer, instruction: ProgramInstruction, scope: Range): void {
  w.u16(opcodeOf(instruction.opcode));
  w.u16(instruction.operands.length);
  w.u32(instruction.words.length);
  w.u32(instruction.node);
  w.u32(instruction.hasWorkspace ? FLAG_WORKSPACE : 0);
  w.range(scope);
}

function writeSlot(w: Writer, slot: HostSlot, direction: 0 | 1, name: Range): void {
  w.u64(slot.offsetBytes);
  w.u32(direction);
  w.range(name);
  w.u8(Dtype[slot.dtype]);
  w.u8(slot.shape.length);
  w.u16(0);
  w.padded(slot.shape, (dim) => w.u32(dim));
}

export function serialize(program: Program): Uint8Array {
  const { buffers, instructions, inputs, outputs } = program;
  const text = new Text();
  const name = text.add(program.name);
  const bufferNames = buffers.map((buffer) => text.add(buffer.name));
  const scopes = instructions.map((instruction) => text.add(instruction.scope));
  const slots = [...inputs, ...outputs].map((slot, i) => ({
    slot,
    direction: i < inputs.length ? (0 as const) : (1 as const),
    name: text.add(slot.name),
  }));
  const operands = instructions.flatMap((instruction) => instruction.operands);
  const words = instructions.flatMap((instruction) => instruction.words);

  const textOffset =
    WireBytes.Header +
    buffers.length * WireBytes.Buffer +
    instructions.length * WireBytes.Instruction +
    operands.length * WireBytes.Operand +
    slots.length * WireBytes.Slot +
    words.length * 4;
  const bytes = new Uint8Array(textOffset + text.bytes);
  const w = new Writer(bytes.buffer);
  w.u32(WIRE_MAGIC);
  w.u32(WIRE_VERSION);
  w.u64(bytes.length);
  w.u64(program.scratchBytesPerThread);
  w.u32(buffers.length);
  w.u32(instructions.length);
  w.u32(operands.length);
  w.u32(slots.length);
  w.u32(words.length);
  w.u32(text.bytes);
  w.range(name);
  buffers.forEach((buffer, i) => {
    w.u64(buffer.bytes);
    w.u32(KINDS[buffer.kind]);
    w.range(bufferNames[i] ?? name);
    w.u32(0);
  });
  instructions.forEach((instruction, i) => {
    writeInstruction(w, instruction, scopes[i] ?? name);
  });
  for (const operand of operands) writeOperand(w, operand);
  for (const { slot, direction, name: slotName } of slots) writeSlot(w, slot, direction, slotName);
  for (const word of words) w.u32(word);
  assert(w.position === textOffset, "the sections have the sizes that were counted");
  text.writeTo(bytes, textOffset);
  return bytes;
}
