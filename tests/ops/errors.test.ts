/** @file What each primitive says when its operands or attributes do not fit. */
import { expect, test } from "bun:test";
import type { Attrs } from "../../src/ir/graph.ts";
import { Builder } from "../../src/ops/builder.ts";
import { input } from "../../src/ops/prim/input.ts";
import { opOf } from "../../src/ops/registry.ts";
import { DTYPES } from "../../src/util/dtype.ts";
import { UserError } from "../../src/util/errors.ts";

/** `add f32[2] i32[2]` with attrs, then what infer says. */
const mistakes: [string, Attrs, string][] = [
  [
    "input",
    { name: "", kind: "input", shape: [2], dtype: "f32" },
    "[input] expected a name, got an empty one",
  ],
  [
    "input",
    { name: "x", kind: "output", shape: [2], dtype: "f32" },
    "[input] expected kind state or input, got output",
  ],
  [
    "input",
    { name: "x", kind: "state", shape: [2, 0], dtype: "f32" },
    "[input] expected at most 8 sizes, each an integer >= 1, got [2,0]",
  ],
  [
    "const",
    { value: 1.5, shape: [2], dtype: "i32" },
    "[const] expected a value of dtype i32, got 1.5",
  ],
  [
    "const",
    { value: -1, shape: [2], dtype: "u32" },
    "[const] expected a value of dtype u32, got -1",
  ],
  [
    "const",
    { value: 2, shape: [2], dtype: "bool" },
    "[const] expected a value of dtype bool, got 2",
  ],
  [
    "const",
    { value: 2, shape: [1, 1, 1, 1, 1, 1, 1, 1, 1], dtype: "f32" },
    "[const] expected at most 8 sizes, each an integer >= 1, got [1,1,1,1,1,1,1,1,1]",
  ],
  ["iota", { shape: [2], dim: 1, dtype: "i32" }, "[iota] expected a dim of i32[2], got 1"],
  [
    "iota",
    { shape: [2], dim: 0, dtype: "bf16" },
    "[iota] expected a result of dtype i32 or u32 or f32, got bf16[2]",
  ],
  [
    "random_bits u32[] u32[3]",
    { shape: [2, 4], key: [1, 2] },
    "[random_bits] expected sample of shape [2], got u32[3]",
  ],
  [
    "random_bits u32[1] u32[2]",
    { shape: [2, 4], key: [1, 2] },
    "[random_bits] expected step of shape [], got u32[1]",
  ],
  [
    "random_bits u32[] i32[2]",
    { shape: [2, 4], key: [1, 2] },
    "[random_bits] expected sample of dtype u32, got i32[2]",
  ],
  [
    "random_bits u32[] u32[2]",
    { shape: [2, 4], key: [1, -2] },
    "[random_bits] expected a key of two u32, got [1,-2]",
  ],
  [
    "random_bits u32[] u32[]",
    { shape: [], key: [1, 2] },
    "[random_bits] expected a shape that begins with the samples, got []",
  ],
  ["exp i32[2]", {}, "[exp] expected an operand of dtype f32 or bf16, got i32[2]"],
  ["neg bool[2]", {}, "[neg] expected an operand of dtype f32 or bf16 or i32 or u32, got bool[2]"],
  ["exp f32[2] f32[2]", {}, "[exp] expected 1 operand, got 2"],
  [
    "add f32[2] f32[3]",
    {},
    "[add] expected two operands of equal shape and dtype, got f32[2] and f32[3]",
  ],
  [
    "add f32[2] bf16[2]",
    {},
    "[add] expected two operands of equal shape and dtype, got f32[2] and bf16[2]",
  ],
  [
    "add bool[2] bool[2]",
    {},
    "[add] expected operands of dtype f32 or bf16 or i32 or u32, got bool[2]",
  ],
  ["and f32[2] f32[2]", {}, "[and] expected operands of dtype bool or i32 or u32, got f32[2]"],
  [
    "cast f32[2]",
    { dtype: "f64" },
    "[cast] expected a dtype of f32, bf16, i32, u32, bool, got f64",
  ],
  [
    "bitcast bf16[2]",
    { dtype: "f32" },
    "[bitcast] expected an operand of dtype f32 or i32 or u32, got bf16[2]",
  ],
  [
    "bitcast f32[2]",
    { dtype: "bool" },
    "[bitcast] expected a result of dtype f32 or i32 or u32, got bool[2]",
  ],
  ["compare f32[2] f32[2]", { kind: "gt" }, "[compare] expected eq, ne, lt or le, got gt"],
  [
    "compare f32[2] i32[2]",
    { kind: "eq" },
    "[compare] expected two operands of equal shape and dtype, got f32[2] and i32[2]",
  ],
  ["select f32[2] f32[2] f32[2]", {}, "[select] expected a condition of dtype bool, got f32[2]"],
  ["select bool[3] f32[2] f32[2]", {}, "[select] expected a condition of shape [2], got bool[3]"],
  [
    "reshape f32[2,3]",
    { shape: [4] },
    "[reshape] expected a shape of 6 elements for [2, 3], got [4]",
  ],
  [
    "transpose f32[2,3]",
    { perm: [0, 0] },
    "[transpose] expected a permutation of 2 dims, got [0,0]",
  ],
  ["transpose f32[2,3]", { perm: [0] }, "[transpose] expected a permutation of 2 dims, got [0]"],
  [
    "broadcast f32[2]",
    { shape: [3, 4], dims: [1] },
    "[broadcast] expected ascending dims that fit [2] to [3, 4], got [1]",
  ],
  [
    "broadcast f32[2,3]",
    { shape: [3, 2], dims: [1, 0] },
    "[broadcast] expected ascending dims that fit [2, 3] to [3, 2], got [1,0]",
  ],
  [
    "broadcast f32[2]",
    { shape: [2], dims: [1] },
    "[broadcast] expected ascending dims that fit [2] to [2], got [1]",
  ],
  [
    "slice f32[4]",
    { starts: [2], limits: [2] },
    "[slice] expected 0 <= start < limit <= 4 in dim 0, got 2 and 2",
  ],
  [
    "slice f32[4]",
    { starts: [2], limits: [5] },
    "[slice] expected 0 <= start < limit <= 4 in dim 0, got 2 and 5",
  ],
  [
    "slice f32[4]",
    { starts: [0, 0], limits: [4] },
    "[slice] expected 1 starts >= 0 for f32[4], got [0,0]",
  ],
  ["pad f32[4]", { low: [-1], high: [0] }, "[pad] expected 1 low sizes >= 0 for f32[4], got [-1]"],
  ["concat", { dim: 0 }, "[concat] expected at least one operand, got none"],
  [
    "concat f32[2,3] f32[2,4]",
    { dim: 0 },
    "[concat] expected operands like f32[2,3] but for dim 0, got f32[2,4]",
  ],
  [
    "concat f32[2,3] bf16[2,3]",
    { dim: 0 },
    "[concat] expected operands like f32[2,3] but for dim 0, got bf16[2,3]",
  ],
  ["concat f32[2,3]", { dim: 2 }, "[concat] expected a dim of f32[2,3], got 2"],
  [
    "dot i32[2,3] i32[3,2]",
    { batch: [], contract: [[1, 0]] },
    "[dot] expected x of dtype f32 or bf16, got i32[2,3]",
  ],
  [
    "dot f32[2,3] bf16[3,2]",
    { batch: [], contract: [[1, 0]] },
    "[dot] expected operands of one dtype, got f32[2,3], bf16[3,2]",
  ],
  [
    "dot f32[2,3] f32[4,2]",
    { batch: [], contract: [[1, 0]] },
    "[dot] expected dims 1 and 0 of equal size, got f32[2,3] and f32[4,2]",
  ],
  [
    "dot f32[2,3] f32[2,3]",
    { batch: [[0, 0]], contract: [[0, 0]] },
    "[dot] expected each dim at most once in batch and contract, got [0,0]",
  ],
  [
    "dot f32[1,1,1,1,1] f32[1,1,1,1]",
    { batch: [], contract: [] },
    "[dot] expected a result of at most 8 dims, got [1,1,1,1,1,1,1,1,1]",
  ],
  ["reduce f32[2,3]", { kind: "mean", dims: [0] }, "[reduce] expected sum or max, got mean"],
  ["reduce f32[2,3]", { kind: "sum", dims: [2] }, "[reduce] expected a dim of f32[2,3], got 2"],
  ["reduce f32[2,3]", { kind: "sum", dims: [1, 0] }, "[reduce] expected ascending dims, got [1,0]"],
  [
    "reduce bool[2]",
    { kind: "max", dims: [0] },
    "[reduce] expected an operand of dtype f32 or bf16 or i32 or u32, got bool[2]",
  ],
  [
    "cumsum bf16[2]",
    { dim: 0, exclusive: false, reverse: false },
    "[cumsum] expected an operand of dtype f32 or i32 or u32, got bf16[2]",
  ],
  [
    "cumsum f32[2]",
    { dim: -1, exclusive: false, reverse: false },
    "[cumsum] expected a dim of f32[2], got -1",
  ],
  ["argmax f32[]", {}, "[argmax] expected at least one dim, got a scalar"],
  ["argmax i32[2]", {}, "[argmax] expected an operand of dtype f32 or bf16, got i32[2]"],
  ["gather f32[] i32[2]", {}, "[gather] expected a table of at least one dim, got a scalar"],
  ["gather f32[3] f32[2]", {}, "[gather] expected ids of dtype i32 or u32, got f32[2]"],
  [
    "scatter_add f32[3,2] i32[4] f32[4,3]",
    {},
    "[scatter_add] expected updates of shape [4,2], got f32[4,3]",
  ],
  [
    "scatter_add bf16[3] i32[4] f32[4]",
    {},
    "[scatter_add] expected a base of dtype f32, got bf16[3]",
  ],
  [
    "scatter_add f32[] i32[4] f32[4]",
    {},
    "[scatter_add] expected a base of at least one dim, got a scalar",
  ],
  [
    "dynamic_slice f32[3,2] i32[1]",
    { sizes: [1, 1] },
    "[dynamic_slice] expected starts of shape [2], got i32[1]",
  ],
  [
    "dynamic_slice f32[3,2] i32[2]",
    { sizes: [4, 1] },
    "[dynamic_slice] expected sizes within f32[3,2], got [4,1]",
  ],
  [
    "dynamic_slice f32[3,2] f32[2]",
    { sizes: [1, 1] },
    "[dynamic_slice] expected starts of dtype i32 or u32, got f32[2]",
  ],
  [
    "dynamic_update f32[3,2] f32[4,1] i32[2]",
    {},
    "[dynamic_update] expected an update within f32[3,2], got f32[4,1]",
  ],
  [
    "dynamic_update f32[3,2] bf16[3,1] i32[2]",
    {},
    "[dynamic_update] expected an update within f32[3,2], got bf16[3,1]",
  ],
  ["get f32[2]", { index: 0, shape: [2], dtype: "f32" }, "[get] expected an index >= 1, got 0"],
  ["stop_gradient", {}, "[stop_gradient] expected 1 operand, got 0"],
];

function messageOf(call: string, attrs: Attrs): string {
  const [name = "", ...operands] = call.split(" ");
  const b = new Builder("mistakes");
  const ids = operands.map((text, i) => {
    const dtype = DTYPES.find((each) => text.startsWith(`${each}[`)) ?? "f32";
    const sizes = text.slice(dtype.length + 1, -1);
    const shape = sizes === "" ? [] : sizes.split(",").map(Number);
    return input(b, { name: `${i}`, kind: "input", shape, dtype });
  });
  try {
    b.emit(opOf(name), ids, attrs);
    return "";
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    return error instanceof Error ? error.message : "";
  }
}

test.each(mistakes)("%s %j", (call, attrs, expected) => {
  expect(messageOf(call, attrs)).toBe(expected);
});
