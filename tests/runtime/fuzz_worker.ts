/**
 * @file Loads damaged programs and runs those that the library accepts, in a process of its own: a crash there is a
 * failed test here. Prints one line a case and leaves its bytes in DUMP before it starts it.
 * `bun fuzz_worker.ts FIRST COUNT DUMP`
 */
import { writeFileSync } from "node:fs";
import { ops } from "../../src/ops/registry.ts";
import type { Program } from "../../src/program/program.ts";
import { serialize } from "../../src/program/serialize.ts";
import {
  type Device,
  type LoadedProgram,
  NativeError,
  openDevice,
} from "../../src/runtime/index.ts";
import { compileOne } from "../ops/one_op.ts";
import { sampleTensors } from "../ops/values.ts";
import { accumulator, lookup } from "./hand_made.ts";

/** Larger programs are accepted but not run: they could take minutes without being wrong. */
const ELEMENTS_MAX = 2 ** 20;
const BUFFER_BYTES_MAX = 2 ** 24;
const VALUES = [0, 1, 2, 3, 7, 8, 64, 255, 65536, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];

/** A small generator with a seed per case, so that one case can be run again. */
class Random {
  private state: number;

  constructor(seed: number) {
    this.state = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
  }

  below(limit: number): number {
    this.state = (Math.imul(this.state ^ (this.state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5) >>> 0;
    const mixed = Math.imul(this.state ^ (this.state >>> 13), 0x297a2d39);
    return ((mixed ^ (mixed >>> 16)) >>> 0) % limit;
  }

  pick<T>(list: readonly T[]): T {
    const item = list[this.below(list.length)];
    if (item === undefined) throw new Error("picked from an empty list");
    return item;
  }
}

/** Valid programs: one for every sample of every op, so each kernel is reached with shapes that it accepts. */
function corpus(): { bytes: Uint8Array; program: Program }[] {
  const programs: Program[] = [accumulator(64), lookup];
  for (const op of ops.values()) {
    for (const sample of op.samples) {
      const target = { kind: "cpu", level: "v3", threads: 1 } as const;
      const { program } = compileOne(op, sampleTensors(op, sample), sample.attrs, target);
      if (program.instructions.length > 0) programs.push(program);
    }
  }
  return programs.map((program) => ({ program, bytes: serialize(program) }));
}

function flipBits(bytes: Uint8Array, random: Random): Uint8Array {
  for (let n = 1 + random.below(8); n > 0; n--) {
    const at = random.below(bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
  }
  return bytes;
}

function scribble(bytes: Uint8Array, random: Random): Uint8Array {
  const at = random.below(bytes.length);
  const end = Math.min(bytes.length, at + 1 + random.below(40));
  for (let i = at; i < end; i++) bytes[i] = random.below(256);
  return bytes;
}

/** Changes whole fields to small, extreme or neighbouring numbers: what comes closest to being accepted. */
function editFields(bytes: Uint8Array, random: Random): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const text = view.getUint32(44, true);
  const words = Math.floor((bytes.length - text) / 4);
  for (let n = 1 + random.below(3); n > 0; n--) {
    const at = 4 * random.below(words);
    const old = view.getUint32(at, true);
    const near = [old + 1, old - 1, old * 2, old >>> 1];
    view.setUint32(at, random.pick(random.below(2) === 0 ? near : VALUES) >>> 0, true);
  }
  return bytes;
}

/** Changes one operand at the place of the program's meaning, so that bytes stay well-formed. */
function editProgram(program: Program, random: Random): Uint8Array {
  const index = random.below(program.instructions.length);
  const instructions = program.instructions.map((instruction, i) => {
    if (i !== index) return instruction;
    const operands = instruction.operands.map((operand) => ({ ...operand }));
    const words = [...instruction.words];
    const target = random.pick(operands);
    const other = random.pick(operands);
    const d = random.below(Math.max(1, target.shape.length));
    const edits = [
      () => Object.assign(target, { dtype: random.pick(["f32", "bf16", "i32", "u32", "bool"]) }),
      () => Object.assign(target, { shape: other.shape, strides: other.strides }),
      () => Object.assign(target, { buffer: other.buffer, offsetBytes: other.offsetBytes }),
      () => Object.assign(target, { shape: target.shape.with(d, 1 + random.below(9)) }),
      () => Object.assign(target, { strides: target.strides.with(d, random.below(9)) }),
      () => Object.assign(target, { output: !target.output }),
      () => Object.assign(target, { offsetBytes: 4 * random.below(64) }),
      () => words.splice(random.below(words.length + 1), 1, random.pick(VALUES)),
      () => operands.splice(random.below(operands.length), 1),
      () => operands.splice(random.below(operands.length), 0, other),
    ];
    const count = 1 + random.below(2);
    for (let n = 0; n < count; n++) {
      try {
        random.pick(edits)();
      } catch (error) {
        // A rank of 0 has no dim to change.
        if (!(error instanceof RangeError)) throw error;
      }
    }
    const hasWorkspace =
      random.below(16) === 0 ? !instruction.hasWorkspace : instruction.hasWorkspace;
    const opcode =
      random.below(8) === 0 ? random.pick(program.instructions).opcode : instruction.opcode;
    return { ...instruction, operands, words, hasWorkspace, opcode };
  });
  return serialize({ ...program, instructions });
}

function damage(source: { bytes: Uint8Array; program: Program }, random: Random): Uint8Array {
  const bytes = source.bytes.slice();
  switch (random.below(10)) {
    case 0:
      return flipBits(bytes, random);
    case 1:
      return scribble(bytes, random);
    case 2:
      return bytes.slice(0, random.below(bytes.length));
    case 3:
      return Uint8Array.from({ length: random.below(400) }, () => random.below(256));
    case 4:
    case 5:
      return editFields(bytes, random);
    case 6:
      // Whole, so that the kernels meet odd data.
      return bytes;
    default:
      return editProgram(source.program, random);
  }
}

/** Numbers that may serve as indices as well as bits of odd floats. */
function contents(bytes: number, random: Random): Uint8Array {
  const words = Uint32Array.from({ length: Math.ceil(bytes / 4) });
  const kind = random.below(3);
  for (let i = 0; i < words.length; i++) {
    if (kind === 0) words[i] = random.below(4);
    else words[i] = kind === 1 ? random.pick(VALUES) : random.below(2 ** 32);
  }
  return new Uint8Array(words.buffer, 0, bytes);
}

function runLoaded(device: Device, loaded: LoadedProgram, random: Random): void {
  const { buffers } = loaded.info();
  buffers.forEach(({ bytes }, i) => {
    const buffer = device.alloc(bytes);
    buffer.write(contents(bytes, random));
    loaded.bind(i, "both", buffer);
  });
  device.waitSync(loaded.run(0));
}

/** "refused", "accepted" (too large to run), "ran" or "failed" (on its data); anything else is thrown. */
function runCase(bytes: Uint8Array, threads: number, random: Random): string {
  const device = openDevice({ threads, guarded: true });
  try {
    const loaded = device.load(bytes);
    const info = loaded.info();
    const size = info.buffers.reduce((sum, buffer) => sum + buffer.bytes, 0);
    if (info.elements_max > ELEMENTS_MAX || size > BUFFER_BYTES_MAX) return "accepted";
    runLoaded(device, loaded, random);
    return "ran";
  } catch (error) {
    if (!(error instanceof NativeError)) throw error;
    if (error.status === "index_out_of_range") return "failed";
    if (["invalid_program", "out_of_memory", "unsupported"].includes(error.status))
      return "refused";
    throw error;
  } finally {
    device.close();
  }
}

const [first, count, dump] = process.argv.slice(2);
const sources = corpus();
const counts: Record<string, number> = {};
for (let i = Number(first); i < Number(first) + Number(count); i++) {
  const random = new Random(i);
  const source = random.pick(sources);
  const bytes = damage(source, random);
  console.log(`case ${i} ${source.program.name}`);
  if (dump !== undefined) writeFileSync(dump, bytes);
  const outcome = runCase(bytes, 1 + (i % 2), random);
  counts[outcome] = (counts[outcome] ?? 0) + 1;
}
console.log(`result ${JSON.stringify({ ...counts, programs: sources.length })}`);
