/** @file The reference executor against numbers worked out by hand, and its errors. */
import { describe, expect, test } from "bun:test";
import { Builder } from "../../src/ops/builder.ts";
import { interpret } from "../../src/ops/interpreter.ts";
import { cumsum } from "../../src/ops/prim/cumsum.ts";
import { dot } from "../../src/ops/prim/dot.ts";
import { erfOf } from "../../src/ops/prim/erf.ts";
import { gather } from "../../src/ops/prim/gather.ts";
import { input } from "../../src/ops/prim/input.ts";
import { mul } from "../../src/ops/prim/mul.ts";
import { pad } from "../../src/ops/prim/pad.ts";
import { reduce } from "../../src/ops/prim/reduce.ts";
import { scatterAdd } from "../../src/ops/prim/scatter_add.ts";
import { transpose } from "../../src/ops/prim/transpose.ts";
import { refTensor } from "../../src/ops/reference.ts";
import type { DType } from "../../src/util/dtype.ts";

const given = (b: Builder, name: string, shape: readonly number[], dtype: DType = "f32") =>
  input(b, { name, kind: "input", shape, dtype });

function outputs(b: Builder, values: Parameters<typeof interpret>[1]): Record<string, number[]> {
  const results = Array.from(interpret(b.finish(), values));
  return Object.fromEntries(results.map(([name, { data }]) => [name, Array.from(data)]));
}

describe("interpret", () => {
  test("data movement, products and reductions", () => {
    const b = new Builder("by hand");
    const x = given(b, "x", [2, 3]);
    b.output("transposed", transpose(b, x, [1, 0]));
    b.output("gram", dot(b, x, x, { batch: [], contract: [[1, 1]] }));
    b.output("rows", dot(b, x, x, { batch: [[0, 0]], contract: [[1, 1]] }));
    b.output("sums", reduce(b, x, "sum", [0]));
    b.output("largest", reduce(b, x, "max", [1]));
    b.output("running", cumsum(b, x, 1, { exclusive: true, reverse: true }));
    b.output("padded", pad(b, x, [0, 1], [1, 0]));
    expect(outputs(b, new Map([["x", refTensor([2, 3], "f32", [1, 2, 3, 4, 5, 6])]]))).toEqual({
      transposed: [1, 4, 2, 5, 3, 6],
      gram: [14, 32, 32, 77],
      rows: [14, 77],
      sums: [5, 7, 9],
      largest: [3, 6],
      running: [5, 3, 0, 11, 6, 0],
      padded: [0, 1, 2, 3, 0, 4, 5, 6, 0, 0, 0, 0],
    });
  });

  test("gather and scatter_add by ids, which may repeat", () => {
    const b = new Builder("ids");
    const table = given(b, "table", [3, 2]);
    const ids = given(b, "ids", [3], "i32");
    const rows = gather(b, table, ids);
    b.output("rows", rows);
    b.output("table", scatterAdd(b, table, ids, rows));
    const values = new Map([
      ["table", refTensor([3, 2], "f32", [1, 2, 3, 4, 5, 6])],
      ["ids", refTensor([3], "i32", [2, 0, 2])],
    ]);
    expect(outputs(b, values)).toEqual({
      rows: [5, 6, 1, 2, 5, 6],
      table: [2, 4, 3, 4, 15, 18],
    });
    values.set("ids", refTensor([3], "i32", [2, 0, 3]));
    expect(() => interpret(b.finish(), values)).toThrow("[gather] expected ids in [0, 3), got 3");
  });

  test("32-bit products wrap exactly", () => {
    const b = new Builder("wrap");
    const x = given(b, "x", [2], "u32");
    b.output("y", mul(b, x, x));
    const values = new Map([["x", refTensor([2], "u32", [0xffffffff, 0x12345679])]]);
    const square = (BigInt(0x12345679) ** 2n) & 0xffffffffn;
    expect(outputs(b, values)).toEqual({ y: [1, Number(square)] });
  });

  test("a missing or misshapen input is named", () => {
    const b = new Builder("missing");
    b.output("x", given(b, "x", [2]));
    expect(() => interpret(b.finish(), new Map())).toThrow(
      "[interpret] expected a value of f32[2] for x, got nothing",
    );
    expect(() => interpret(b.finish(), new Map([["x", refTensor([3], "f32")]]))).toThrow(
      "got f32[3]",
    );
  });

  test("erf to the last digits (Abramowitz and Stegun, table 7.1, and beyond)", () => {
    expect(erfOf(0.5)).toBeCloseTo(0.5204998778130465, 15);
    expect(erfOf(1)).toBeCloseTo(0.8427007929497149, 15);
    expect(erfOf(-2)).toBeCloseTo(-0.9953222650189527, 15);
    expect(1 - erfOf(2.6)).toBeCloseTo(2.360344165293492e-4, 15);
    expect(1 - erfOf(3)).toBeCloseTo(2.209049699858544e-5, 15);
    expect([erfOf(0), erfOf(9), erfOf(-9)]).toEqual([0, 1, -1]);
  });

  test("a product of 64 x 64 x 64 takes milliseconds", () => {
    const b = new Builder("quick");
    const x = given(b, "x", [64, 64]);
    b.output("y", dot(b, x, x, { batch: [], contract: [[1, 0]] }));
    const graph = b.finish();
    const values = new Map([["x", refTensor([64, 64], "f32")]]);
    interpret(graph, values);
    const start = performance.now();
    interpret(graph, values);
    expect(performance.now() - start).toBeLessThan(50);
  });
});
