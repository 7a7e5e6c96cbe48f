/** @file The two forms of a program: bytes for the library, text for people. */
import { expect, test } from "bun:test";
import { WireBytes } from "../../src/program/abi.gen.ts";
import type { Program } from "../../src/program/program.ts";
import { serialize } from "../../src/program/serialize.ts";
import { programText } from "../../src/program/text.ts";
import { instruction, operand, program, result } from "../runtime/hand_made.ts";

const sample: Program = {
  ...program(
    [
      { kind: "arena", name: "arena", bytes: 2 ** 33 },
      { kind: "state", name: "param/w", bytes: 64 },
    ],
    [
      instruction("copy", [operand(1, [4, 2], { strides: [1, 4] }), result(0, [4, 2], 2 ** 32)]),
      {
        ...instruction("fill", [result(0, []), result(0, [8], 64)], [0x3f800000], 7),
        hasWorkspace: true,
        scope: "",
      },
    ],
  ),
  inputs: [{ name: "ids", offsetBytes: 0, dtype: "i32", shape: [2, 3] }],
};

test("the text shows buffers, places, strides that are not row-major, words and scopes", () => {
  expect(programText(sample)).toBe(`program hand_made, 4096 bytes of scratch per thread
  b0 arena, 8589934592 bytes
  b1 state param/w, 64 bytes
  in ids +0 i32[2,3]
  0 copy(b1+0 f32[4,2](1,4)) -> b0+4294967296 f32[4,2]  # %0 test.copy
  1 fill() -> b0+0 f32[]  words 0x3f800000  workspace b0+64 f32[8]  # %7
`);
});

test("the bytes are the sections of zig/wire.zig, back to back", () => {
  const bytes = serialize(sample);
  const view = new DataView(bytes.buffer);
  expect(new TextDecoder().decode(bytes.subarray(0, 4))).toBe("THSP");
  expect(view.getBigUint64(8, true)).toBe(BigInt(bytes.length));
  const counts = [24, 28, 32, 36, 40].map((at) => view.getUint32(at, true));
  expect(counts).toEqual([2, 2, 4, 1, 1]);
  const operands = WireBytes.Header + 2 * WireBytes.Buffer + 2 * WireBytes.Instruction;
  // Second operand of the copy: offset beyond 32 bits, dims and strides padded to rank 8.
  const second = operands + WireBytes.Operand;
  expect(view.getBigUint64(second, true)).toBe(2n ** 32n);
  expect([...bytes.subarray(second + 8, second + 16)]).toEqual([0, 0, 0, 0, 0, 2, 1, 0]);
  expect(view.getUint32(second + 16, true)).toBe(4);
  expect(view.getUint32(second + 24, true)).toBe(0);
  const words = operands + 4 * WireBytes.Operand + WireBytes.Slot;
  expect(view.getUint32(words, true)).toBe(0x3f800000);
  expect(new TextDecoder().decode(bytes.subarray(words + 4))).toBe(
    "hand_madearenaparam/wtest.copyids",
  );
});

test("what cannot be written is a bug of the caller", () => {
  const copy = instruction("copy", [operand(0, Array(9).fill(1))]);
  expect(() => serialize(program([], [copy]))).toThrow("rank 9");
  expect(() => serialize(program([], [instruction("nothing", [])]))).toThrow("no opcode nothing");
  expect(() => serialize(program([], [instruction("fill", [], [-1])]))).toThrow("-1 is not a u32");
});
