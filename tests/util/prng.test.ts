/** @file Philox against the vectors published with Random123, the counter layout, and the keys of scopes. */
import { describe, expect, test } from "bun:test";
import { philox4x32, sampleBits, scopeKey } from "../../src/util/prng.ts";

describe("philox4x32", () => {
  // From kat_vectors of Random123 1.14 (philox4x32 10): counter, key, result.
  const vectors: [[number, number, number, number], [number, number], number[]][] = [
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ];
  test("known answers", () => {
    for (const [counter, key, expected] of vectors) {
      const out = new Uint32Array(4);
      philox4x32(counter, key, out);
      expect([...out]).toEqual(expected);
    }
  });
});

describe("sampleBits", () => {
  test("element e is word e % 4 of the counter [e / 4, 0, sample, step]", () => {
    const bits = sampleBits([11, 22], 7, 5, 11);
    expect(bits.length).toBe(11);
    for (let e = 0; e < 11; e++) {
      const out = new Uint32Array(4);
      philox4x32([e >> 2, 0, 5, 7], [11, 22], out);
      expect(bits[e]).toBe(out[e & 3] as number);
    }
  });

  test("the same words as the native kernel's test", () => {
    expect([...sampleBits([0x12345678, 0x9abcdef0], 3, 42, 6)]).toEqual([
      0x2a3382f4, 0x4df09b54, 0x452cb499, 0xf994194b, 0xd71bed79, 0xb4f06524,
    ]);
  });

  test("other steps, samples and keys give other words; the mean is near one half", () => {
    const base = sampleBits([1, 2], 3, 4, 4096);
    for (const other of [
      sampleBits([1, 2], 4, 4, 4096),
      sampleBits([1, 2], 3, 5, 4096),
      sampleBits([2, 1], 3, 4, 4096),
    ])
      expect(base.filter((word, i) => word === other[i]).length).toBeLessThan(3);
    const mean = base.reduce((sum, word) => sum + word / 2 ** 32, 0) / base.length;
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.02);
  });
});

describe("scopeKey", () => {
  test("depends on seed and scope, and stays what saved runs rely on", () => {
    expect(scopeKey(0, "blocks.0.drop")).toEqual([0xe1ceccc7, 0xe1dded8d]);
    expect(scopeKey(0, "blocks.0.drop")).not.toEqual(scopeKey(1, "blocks.0.drop"));
    expect(scopeKey(0, "blocks.0.drop")).not.toEqual(scopeKey(0, "blocks.1.drop"));
    // The separator keeps seed 1, scope "1" apart from seed 11 without a scope.
    expect(scopeKey(1, "1")).not.toEqual(scopeKey(11, ""));
  });
});
