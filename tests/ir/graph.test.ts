/** @file The text dump and the builder's hash-consing. */
import { describe, expect, test } from "bun:test";
import { graphText } from "../../src/ir/text.ts";
import { Builder } from "../../src/ops/builder.ts";
import { constant } from "../../src/ops/prim/const.ts";
import { dot } from "../../src/ops/prim/dot.ts";
import { exp } from "../../src/ops/prim/exp.ts";
import { input } from "../../src/ops/prim/input.ts";
import { mul } from "../../src/ops/prim/mul.ts";

describe("text", () => {
  test("one node a line, with attrs, types, phase and scope", () => {
    const b = new Builder("example");
    const x = input(b, { name: "x", kind: "input", shape: [4, 3], dtype: "f32" });
    const w = input(b, { name: "param/up", kind: "state", shape: [3, 2], dtype: "f32" });
    const y = b.within("blocks.0", () =>
      b.within("mlp", () => dot(b, x, w, { batch: [], contract: [[1, 0]] })),
    );
    b.phase = "update";
    const limit = constant(b, Number.NEGATIVE_INFINITY, [4, 2], "f32");
    b.output("y", mul(b, y, limit));
    b.output("w", w, "param/up");
    expect(graphText(b.finish())).toBe(
      `graph example
  %0 = input() {name: "x", kind: "input", shape: [4,3], dtype: "f32"} : f32[4,3]
  %1 = input() {name: "param/up", kind: "state", shape: [3,2], dtype: "f32"} : f32[3,2]
  %2 = dot(%0, %1) {batch: [], contract: [[1,0]]} : f32[4,2]  # blocks.0.mlp
  %3 = const() {value: -Infinity, shape: [4,2], dtype: "f32"} : f32[4,2] @update
  %4 = mul(%2, %3) : f32[4,2] @update
  return y = %4
  return w = %1 -> state param/up
`,
    );
  });
});

describe("hash-consing", () => {
  const start = () => {
    const b = new Builder("merge");
    return { b, x: input(b, { name: "x", kind: "input", shape: [2], dtype: "f32" }) };
  };

  test("merges equal nodes, whatever their scope", () => {
    const { b, x } = start();
    const first = b.within("a", () => exp(b, x));
    expect(b.within("b", () => exp(b, x))).toBe(first);
    expect(b.node(first).scope).toBe("a");
  });

  test("keeps nodes of another phase apart: a recomputed node is not its original", () => {
    const { b, x } = start();
    const forward = exp(b, x);
    const again = b.as({ scope: "", phase: "recompute" }, () => exp(b, x));
    expect(again).not.toBe(forward);
    expect(b.as({ scope: "", phase: "recompute" }, () => exp(b, x))).toBe(again);
  });

  test("tells constants apart that JSON writes alike", () => {
    const { b } = start();
    const values = [0, -0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    const ids = values.map((value) => constant(b, value, [2], "f32"));
    expect(new Set(ids).size).toBe(values.length);
    expect(constant(b, Number.NaN, [2], "f32")).toBe(ids[2] ?? -1);
  });
});
