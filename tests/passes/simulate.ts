/**
 * @file Runs a compiled program in f64 over simulated memory: every operand is read from and written to the bytes that
 * the program names. What two values may not share shows as a wrong or torn value. Also checks, per instruction, that
 * results touch operands only where the kernel allows it.
 */
import { at } from "../../src/ops/check.ts";
import { runOp } from "../../src/ops/interpreter.ts";
import { eachIndex, type RefTensor, refTensor } from "../../src/ops/reference.ts";
import { opOf } from "../../src/ops/registry.ts";
import type { Compiled } from "../../src/passes/compile.ts";
import type { Step } from "../../src/passes/memory.ts";
import type { HostSlot, ProgramInstruction, ProgramOperand } from "../../src/program/program.ts";
import { dtypeBytes } from "../../src/util/dtype.ts";
import { assert } from "../../src/util/errors.ts";

const NOTHING = -1;

/** One number per element, kept at the element's first byte; `owner` says which element a byte belongs to. */
class Memory {
  private readonly values: Float64Array;
  private readonly owner: Int32Array;

  constructor(bytes: number) {
    this.values = new Float64Array(bytes);
    this.owner = new Int32Array(bytes).fill(NOTHING);
  }

  write(offset: number, bytes: number, value: number): void {
    assert(offset >= 0 && offset + bytes <= this.values.length, "a write outside its buffer");
    this.values[offset] = value;
    this.owner.fill(offset, offset, offset + bytes);
  }

  read(offset: number, bytes: number, what: string): number {
    for (let i = offset; i < offset + bytes; i++) {
      assert(this.owner[i] === offset, `${what}: byte ${i} was overwritten or never written`);
    }
    return at(this.values, offset);
  }

  forget(offset: number, bytes: number): void {
    this.owner.fill(NOTHING, offset, offset + bytes);
  }
}

function eachOffset(operand: ProgramOperand, visit: (offset: number, flat: number) => void): void {
  const size = dtypeBytes(operand.dtype);
  eachIndex(operand.shape, (index, flat) => {
    const elements = index.reduce((sum, i, dim) => sum + i * at(operand.strides, dim), 0);
    visit(operand.offsetBytes + elements * size, flat);
  });
}

const countOf = (operand: ProgramOperand): number => operand.shape.reduce((n, size) => n * size, 1);

export class Simulation {
  private readonly compiled: Compiled;
  private readonly buffers: Memory[];

  constructor(compiled: Compiled, values: ReadonlyMap<string, RefTensor>) {
    this.compiled = compiled;
    const { buffers, inputs } = compiled.program;
    this.buffers = buffers.map(({ bytes }) => new Memory(bytes));
    for (const slot of inputs) this.store(this.bufferOf("input", "input"), slot, values);
    for (const state of compiled.plan.states) {
      const known = values.has(state.name);
      if (known)
        this.store(this.bufferOf("state", state.name), { ...state, offsetBytes: 0 }, values);
    }
  }

  /** Values of the program's outputs and of all states afterwards. */
  run(): Map<string, RefTensor> {
    const { program, plan } = this.compiled;
    program.instructions.forEach((instruction, i) => {
      this.execute(instruction, at(plan.steps, i));
    });
    const results = new Map<string, RefTensor>();
    for (const slot of program.outputs) {
      results.set(slot.name, this.load(this.bufferOf("output", "output"), slot));
    }
    for (const { name, shape, dtype } of plan.states) {
      const slot = { name, offsetBytes: 0, shape, dtype };
      results.set(name, this.load(this.bufferOf("state", name), slot));
    }
    return results;
  }

  private bufferOf(kind: string, name: string): number {
    const index = this.compiled.program.buffers.findIndex(
      (b) => b.kind === kind && b.name === name,
    );
    assert(index >= 0, `no ${kind} buffer ${name}`);
    return index;
  }

  private store(buffer: number, slot: HostSlot, values: ReadonlyMap<string, RefTensor>): void {
    const value = values.get(slot.name);
    assert(value !== undefined, `no value for ${slot.name}`);
    const size = dtypeBytes(slot.dtype);
    value.data.forEach((x, i) => {
      at(this.buffers, buffer).write(slot.offsetBytes + i * size, size, x);
    });
  }

  private load(buffer: number, slot: HostSlot): RefTensor {
    const out = refTensor(slot.shape, slot.dtype);
    const size = dtypeBytes(slot.dtype);
    for (let i = 0; i < out.data.length; i++) {
      const offset = slot.offsetBytes + i * size;
      out.data[i] = at(this.buffers, buffer).read(offset, size, `result ${slot.name}`);
    }
    return out;
  }

  private execute(instruction: ProgramInstruction, step: Step): void {
    const { node } = step;
    const operands = instruction.operands.slice(0, step.inputs.length);
    const rest = instruction.operands.slice(step.inputs.length);
    const outputs = rest.slice(0, step.outputs.length);
    checkOverlaps(instruction, step);
    const inputs = operands.map((operand, i) => {
      const { shape, dtype } = at(step.inputs, i).view;
      const tensor = refTensor(shape, dtype);
      assert(countOf(operand) === tensor.data.length, `${node.op}: operand ${i} has another count`);
      const what = `${node.op} (${node.scope}) operand ${i}`;
      eachOffset(operand, (offset, flat) => {
        const memory = at(this.buffers, operand.buffer);
        tensor.data[flat] = memory.read(offset, dtypeBytes(operand.dtype), what);
      });
      return tensor;
    });
    const workspace = instruction.hasWorkspace ? instruction.operands.at(-1) : undefined;
    if (workspace !== undefined) {
      const memory = at(this.buffers, workspace.buffer);
      memory.forget(workspace.offsetBytes, 4 * countOf(workspace));
    }
    const results = runOp(opOf(node.op), inputs, node.attrs, node.types);
    outputs.forEach((operand, i) => {
      const value = at(results, i);
      assert(countOf(operand) === value.data.length, `${node.op}: result ${i} has another count`);
      eachOffset(operand, (offset, flat) => {
        const memory = at(this.buffers, operand.buffer);
        memory.write(offset, dtypeBytes(operand.dtype), at(value.data, flat));
      });
    });
  }
}

/** Bytes that an operand touches, as a set of element offsets of one buffer. */
function touched(operand: ProgramOperand): Set<number> {
  const bytes = new Set<number>();
  const size = dtypeBytes(operand.dtype);
  eachOffset(operand, (offset) => {
    for (let i = 0; i < size; i++) bytes.add(operand.buffer * 2 ** 40 + offset + i);
  });
  return bytes;
}

const identical = (a: ProgramOperand, b: ProgramOperand): boolean =>
  a.buffer === b.buffer &&
  a.offsetBytes === b.offsetBytes &&
  dtypeBytes(a.dtype) === dtypeBytes(b.dtype) &&
  a.shape.join() === b.shape.join() &&
  a.strides.every((stride, dim) => stride === b.strides[dim] || a.shape[dim] === 1);

/** Results and workspace must be apart from all operands and each other, but for declared in-place pairs. */
function checkOverlaps(instruction: ProgramInstruction, step: Step): void {
  const { operands } = instruction;
  const sets = operands.map(touched);
  const inputs = step.inputs.length;
  operands.forEach((operand, w) => {
    if (w < inputs) return;
    operands.forEach((other, r) => {
      if (
        r === w ||
        !at(sets, w)
          .values()
          .some((byte) => at(sets, r).has(byte))
      )
        return;
      const allowed = step.inPlace.some(([result, input]) => result === w - inputs && input === r);
      const what = `${instruction.opcode} (${instruction.scope}): operand ${w} overlaps ${r}`;
      assert(r < inputs && allowed && identical(operand, other), what);
    });
  });
}
