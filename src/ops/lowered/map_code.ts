/**
 * @file A piece of bytecode for `map` and `map_reduce` as node attributes: how it is checked, run in f64 and turned
 * into words. Registers: 0..7 inputs, 8..39 constants, 64.. results of the instructions.
 */
import { DTYPES, type DType, isFloat } from "../../util/dtype.ts";
import { at, fail } from "../check.ts";
import type { Word } from "../kernel.ts";
import type { RefTensor } from "../reference.ts";
import { bitsOfFloat, floatOfBits, MAP_OPS, type MapOp, type RegisterKind } from "./map_ops.ts";

export const MAX_INPUTS = 8;
export const MAX_CONSTANTS = 32;
export const MAX_INSTRUCTIONS = 32;
export const MAX_RESULTS = 4;
export const FIRST_CONSTANT = 8;
export const FIRST_RESULT = 64;

/** Name in MAP_OPS, then the operand registers. */
export type MapInstruction = readonly [string, ...number[]];

export type MapCode = {
  readonly constants: readonly (readonly [DType, number])[];
  readonly code: readonly MapInstruction[];
  /** Register of each result. */
  readonly results: readonly number[];
};

export function mapOp(name: string): MapOp {
  const op = MAP_OPS[name];
  if (op === undefined) fail("map", "a known instruction", name);
  return op;
}

/** Throws unless every register is defined before it is read and the limits hold. */
export function checkCode(op: string, inputCount: number, code: MapCode): void {
  if (inputCount > MAX_INPUTS) fail(op, `at most ${MAX_INPUTS} inputs`, `${inputCount}`);
  const { constants, results } = code;
  if (constants.length > MAX_CONSTANTS) {
    fail(op, `at most ${MAX_CONSTANTS} constants`, `${constants.length}`);
  }
  if (code.code.length > MAX_INSTRUCTIONS) {
    fail(op, `at most ${MAX_INSTRUCTIONS} instructions`, `${code.code.length}`);
  }
  if (results.length < 1 || results.length > MAX_RESULTS) {
    fail(op, `1 to ${MAX_RESULTS} results`, `${results.length}`);
  }
  for (const [dtype] of constants) {
    if (!DTYPES.includes(dtype)) fail(op, "constants of a known dtype", dtype);
  }
  const known = (register: number, defined: number): boolean =>
    (register >= 0 && register < inputCount) ||
    (register >= FIRST_CONSTANT && register < FIRST_CONSTANT + constants.length) ||
    (register >= FIRST_RESULT && register < FIRST_RESULT + defined);
  code.code.forEach(([name, ...operands], k) => {
    const { arity } = mapOp(name);
    if (operands.length !== arity || !operands.every((r) => known(r, k))) {
      fail(op, `${arity} defined registers for ${name}`, operands.join(", "));
    }
  });
  for (const register of results) {
    if (!known(register, code.code.length)) fail(op, "defined result registers", `${register}`);
  }
}

interface Register {
  readonly kind: RegisterKind;
  readonly data: Float64Array;
}

/** Runs the code over whole tensors; one array per result, as the result's dtype stores it. */
export function runCode(
  code: MapCode,
  inputs: readonly RefTensor[],
  count: number,
  dtypes: readonly DType[],
): Float64Array[] {
  const registers: Register[] = [];
  inputs.forEach(({ dtype, data }, i) => {
    registers[i] = load(dtype, (k) => at(data, k), count);
  });
  code.constants.forEach(([dtype, value], i) => {
    registers[FIRST_CONSTANT + i] = load(dtype, () => value, count);
  });
  code.code.forEach(([name, ...operands], k) => {
    registers[FIRST_RESULT + k] = execute(name, operands, registers, count);
  });
  return code.results.map((register, i) => store(at(registers, register), at(dtypes, i)));
}

function load(dtype: DType, value: (index: number) => number, count: number): Register {
  const kind = isFloat(dtype) ? "float" : "int";
  const data = new Float64Array(count);
  for (let i = 0; i < count; i++) data[i] = kind === "int" ? value(i) | 0 : value(i);
  return { kind, data };
}

function execute(
  name: string,
  operands: readonly number[],
  registers: readonly Register[],
  count: number,
): Register {
  const op = mapOp(name);
  const [a, b, c] = operands.map((register) => at(registers, register));
  if (a === undefined) fail("map", "an operand", name);
  const flipped = a.kind === "int" ? "float" : "int";
  const kind = op.kind === "second" ? (b ?? a).kind : op.kind === "flip" ? flipped : op.kind;
  const bits = a.kind === "int" ? floatOfBits : bitsOfFloat;
  const apply = op.kind === "flip" ? bits : op.apply;
  const data = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const value = apply(a.data[i] ?? 0, b?.data[i] ?? 0, c?.data[i] ?? 0);
    data[i] = kind === "int" ? value | 0 : value;
  }
  return { kind, data };
}

/** A float register kept in an integer result (or the other way) does not occur: casts are instructions. */
function store({ data }: Register, dtype: DType): Float64Array {
  if (dtype === "u32") return data.map((value) => value >>> 0);
  if (dtype === "bool") return data.map((value) => Number(value !== 0));
  return data;
}

/** Words of the opcode `map`. */
export function codeWords(inputCount: number, code: MapCode): Word[] {
  return [
    inputCount,
    code.results.length,
    code.constants.length,
    code.code.length,
    ...code.constants.map(([dtype, value]) => (isFloat(dtype) ? { f32: value } : value >>> 0)),
    ...code.code.map(([name, a = 0, b = 0, c = 0]) => {
      return (mapOp(name).code | (a << 8) | (b << 16) | (c << 24)) >>> 0;
    }),
    ...code.results,
  ];
}
