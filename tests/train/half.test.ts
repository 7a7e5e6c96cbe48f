/** @file 16-bit formats of weight files: widening is exact for every value, narrowing rounds to the nearest, ties to even. */
import { expect, test } from "bun:test";
import { narrow, widen } from "../../src/train/checkpoint/half.ts";

const every = Uint16Array.from({ length: 65536 }, (_, i) => i);
const isNan = { BF16: 0x7f80, F16: 0x7c00 };

test.each(["BF16", "F16"] as const)("every value of %s survives", (dtype) => {
  const wide = new Float32Array(65536);
  widen(dtype, every, wide);
  const back = new Uint16Array(65536);
  narrow(dtype, wide, back);
  const number = (bits: number) => (bits & 0x7fff) <= isNan[dtype];
  const changed = every.filter((bits) =>
    number(bits) ? back[bits] !== bits : !Number.isNaN(wide[bits]) || number(back[bits] ?? 0),
  );
  expect([...changed]).toEqual([]);
});

/** Values of all sizes, halfway cases among them. */
const values = Float32Array.from({ length: 40_000 }, (_, i) => {
  const size = 2 ** ((i % 60) - 34);
  return (i % 2 === 0 ? 1 : -1) * size * (1 + ((i * 2654435761) % 4096) / 4096);
});

test("f16 as the machine rounds", () => {
  const bits = new Uint16Array(values.length);
  narrow("F16", values, bits);
  const wide = new Float32Array(values.length);
  widen("F16", bits, wide);
  expect(wide).toEqual(values.map((value) => Math.f16round(value)));
});

test("bf16 goes to the nearer neighbour, and to the even one halfway", () => {
  const cases = Float32Array.of(1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -20, 3.4e38);
  const bits = new Uint16Array(cases.length);
  narrow("BF16", cases, bits);
  const wide = new Float32Array(cases.length);
  widen("BF16", bits, wide);
  expect([...wide]).toEqual([1, 1, 1 + 2 ** -6, 1 + 2 ** -7, Number.POSITIVE_INFINITY]);
});
