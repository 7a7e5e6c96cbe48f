/**
 * @file The bytecode operations of `map`: number on the wire (as `MapOp` in zig/abi.zig, checked by a test), kind of
 * the result register and f64 meaning. Integer registers hold 32 bits; the signed form is the canonical one.
 */
import { erfOf } from "../prim/erf.ts";

/** Kind of a register: float, 32-bit integer, that of the second operand (select), or the other of the first. */
export type RegisterKind = "float" | "int";
type ResultKind = RegisterKind | "second" | "flip";

export interface MapOp {
  readonly code: number;
  readonly arity: 1 | 2 | 3;
  readonly kind: ResultKind;
  readonly apply: (a: number, b: number, c: number) => number;
}

const unary = (code: number, apply: (a: number) => number, kind: ResultKind = "float"): MapOp => ({
  code,
  arity: 1,
  kind,
  apply,
});

const binary = (
  code: number,
  apply: (a: number, b: number) => number,
  kind: ResultKind = "float",
): MapOp => ({ code, arity: 2, kind, apply });

const ternary = (code: number, apply: MapOp["apply"], kind: ResultKind): MapOp => ({
  code,
  arity: 3,
  kind,
  apply,
});

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

const GELU_SLOPE = 2 * Math.sqrt(2 / Math.PI);
const GELU_CUBIC = 0.044715;

/** x sigmoid(u), u = 2 sqrt(2/pi) (x + 0.044715 x^3): the tanh form of gelu. */
function geluTanh(x: number): number {
  return x * sigmoid(GELU_SLOPE * (x + GELU_CUBIC * x ** 3));
}

function geluTanhGrad(x: number): number {
  const s = sigmoid(GELU_SLOPE * (x + GELU_CUBIC * x ** 3));
  return s + x * s * (1 - s) * GELU_SLOPE * (1 + 3 * GELU_CUBIC * x * x);
}

const normalCdf = (x: number): number => 0.5 * (1 + erfOf(x * Math.SQRT1_2));

function geluErfGrad(x: number): number {
  return normalCdf(x) + (x * Math.exp(-0.5 * x * x)) / Math.sqrt(2 * Math.PI);
}

function siluGrad(x: number): number {
  const s = sigmoid(x);
  return s * (1 + x * (1 - s));
}

function saturate(x: number, low: number, high: number): number {
  return Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), low), high);
}

const word = new DataView(new ArrayBuffer(4));

export function bitsOfFloat(x: number): number {
  word.setFloat32(0, x);
  return word.getUint32(0);
}

export function floatOfBits(bits: number): number {
  word.setUint32(0, bits >>> 0);
  return word.getFloat32(0);
}

/** min and max as IEEE-754 minimum and maximum: NaN wins. Two parameters, as `apply` is called with three. */
const larger = (a: number, b: number): number => Math.max(a, b);
const smaller = (a: number, b: number): number => Math.min(a, b);

export const MAP_OPS: Readonly<Record<string, MapOp>> = {
  add: binary(0, (a, b) => a + b),
  sub: binary(1, (a, b) => a - b),
  mul: binary(2, (a, b) => a * b),
  div: binary(3, (a, b) => a / b),
  max: binary(4, larger),
  min: binary(5, smaller),
  pow: binary(6, (a, b) => a ** b),
  neg: unary(7, (a) => -a),
  exp: unary(8, Math.exp),
  log: unary(9, Math.log),
  sqrt: unary(10, Math.sqrt),
  rsqrt: unary(11, (a) => 1 / Math.sqrt(a)),
  sin: unary(12, Math.sin),
  cos: unary(13, Math.cos),
  tanh: unary(14, Math.tanh),
  erf: unary(15, erfOf),
  abs: unary(16, Math.abs),
  floor: unary(17, Math.floor),
  fma: ternary(18, (a, b, c) => a * b + c, "float"),
  gelu_tanh: unary(19, geluTanh),
  gelu_tanh_grad: unary(20, geluTanhGrad),
  gelu_erf: unary(21, (a) => a * normalCdf(a)),
  gelu_erf_grad: unary(22, geluErfGrad),
  silu: unary(23, (a) => a * sigmoid(a)),
  silu_grad: unary(24, siluGrad),
  sigmoid: unary(25, sigmoid),
  eq: binary(32, (a, b) => Number(a === b), "int"),
  ne: binary(33, (a, b) => Number(a !== b), "int"),
  lt: binary(34, (a, b) => Number(a < b), "int"),
  le: binary(35, (a, b) => Number(a <= b), "int"),
  select: ternary(36, (a, b, c) => (a !== 0 ? b : c), "second"),
  // The reference executor does not round: f64 stands for every float dtype.
  round_bf16: unary(37, (a) => a),
  addi: binary(48, (a, b) => a + b, "int"),
  subi: binary(49, (a, b) => a - b, "int"),
  muli: binary(50, Math.imul, "int"),
  divi: binary(51, (a, b) => Math.trunc(a / b), "int"),
  divu: binary(52, (a, b) => Math.floor((a >>> 0) / (b >>> 0)), "int"),
  maxi: binary(53, larger, "int"),
  mini: binary(54, smaller, "int"),
  maxu: binary(55, (a, b) => Math.max(a >>> 0, b >>> 0), "int"),
  minu: binary(56, (a, b) => Math.min(a >>> 0, b >>> 0), "int"),
  eqi: binary(57, (a, b) => Number(a === b), "int"),
  nei: binary(58, (a, b) => Number(a !== b), "int"),
  lti: binary(59, (a, b) => Number(a < b), "int"),
  lei: binary(60, (a, b) => Number(a <= b), "int"),
  ltu: binary(61, (a, b) => Number(a >>> 0 < b >>> 0), "int"),
  leu: binary(62, (a, b) => Number(a >>> 0 <= b >>> 0), "int"),
  andi: binary(63, (a, b) => a & b, "int"),
  ori: binary(64, (a, b) => a | b, "int"),
  negi: unary(65, (a) => -a, "int"),
  absi: unary(66, Math.abs, "int"),
  f_to_i: unary(80, (a) => saturate(a, -(2 ** 31), 2 ** 31 - 1), "int"),
  f_to_u: unary(81, (a) => saturate(a, 0, 2 ** 32 - 1), "int"),
  i_to_f: unary(82, (a) => a),
  u_to_f: unary(83, (a) => a >>> 0),
  to_bool_f: unary(84, (a) => Number(a !== 0), "int"),
  to_bool_i: unary(85, (a) => Number(a !== 0), "int"),
  // The evaluator knows the direction; this entry only declares the shape of the instruction.
  bitcast: unary(86, (a) => a, "flip"),
};
