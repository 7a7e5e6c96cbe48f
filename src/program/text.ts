/** @file The text dump of a program, one instruction a line; golden tests compare it, `theseus plan` may print it. */
import { rowMajorStrides } from "../util/shapes.ts";
import type { HostSlot, Program, ProgramInstruction, ProgramOperand } from "./program.ts";

const isRowMajor = (operand: ProgramOperand): boolean => {
  const strides = rowMajorStrides(operand.shape);
  return operand.shape.every((size, i) => size === 1 || operand.strides[i] === strides[i]);
};

/** `b2+256 f32[4,8]`, with strides where they are not row-major: `b2+256 f32[4,8](1,4)`. */
function operandText(operand: ProgramOperand): string {
  const strides = isRowMajor(operand) ? "" : `(${operand.strides.join(",")})`;
  return `b${operand.buffer}+${operand.offsetBytes} ${operand.dtype}[${operand.shape.join(",")}]${strides}`;
}

/** Large words are bits of floats or packed bytecode and read better in hexadecimal. */
const wordText = (word: number): string =>
  word < 65536 ? String(word) : `0x${word.toString(16).padStart(8, "0")}`;

function instructionText(instruction: ProgramInstruction): string {
  const { operands, hasWorkspace } = instruction;
  const named = hasWorkspace ? operands.slice(0, -1) : operands;
  const workspace = operands.at(-1);
  const inputs = named.filter((operand) => !operand.output).map(operandText);
  const results = named.filter((operand) => operand.output).map(operandText);
  const parts = [`${instruction.opcode}(${inputs.join(", ")}) -> ${results.join(", ")}`];
  if (instruction.words.length > 0)
    parts.push(`words ${instruction.words.map(wordText).join(" ")}`);
  if (hasWorkspace && workspace !== undefined) parts.push(`workspace ${operandText(workspace)}`);
  parts.push(`# %${instruction.node} ${instruction.scope}`.trimEnd());
  return parts.join("  ");
}

const slotText = (kind: string, slot: HostSlot): string =>
  `  ${kind} ${slot.name} +${slot.offsetBytes} ${slot.dtype}[${slot.shape.join(",")}]`;

export function programText(program: Program): string {
  const digits = String(program.instructions.length - 1).length;
  const lines = [
    `program ${program.name}, ${program.scratchBytesPerThread} bytes of scratch per thread`,
    ...program.buffers.map(({ kind, name, bytes }, i) =>
      kind === name ? `  b${i} ${kind}, ${bytes} bytes` : `  b${i} ${kind} ${name}, ${bytes} bytes`,
    ),
    ...program.inputs.map((slot) => slotText("in", slot)),
    ...program.outputs.map((slot) => slotText("out", slot)),
    ...program.instructions.map(
      (instruction, i) => `  ${String(i).padStart(digits)} ${instructionText(instruction)}`,
    ),
  ];
  return `${lines.join("\n")}\n`;
}
