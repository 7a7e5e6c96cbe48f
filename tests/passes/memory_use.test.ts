/** @file What shares memory and what must not: state in place, accumulations, results over operands, outputs of state. */
import { describe, expect, test } from "bun:test";
import { grad } from "../../src/autodiff/grad.ts";
import type { Id } from "../../src/ir/graph.ts";
import { Builder } from "../../src/ops/builder.ts";
import { embedding } from "../../src/ops/fused/embedding.ts";
import { gelu } from "../../src/ops/fused/gelu.ts";
import { layerNorm } from "../../src/ops/fused/layer_norm.ts";
import { layerNormGrad } from "../../src/ops/fused/layer_norm_grad.ts";
import { linearCrossEntropy } from "../../src/ops/fused/linear_cross_entropy.ts";
import { interpret } from "../../src/ops/interpreter.ts";
import { add } from "../../src/ops/prim/add.ts";
import { broadcast } from "../../src/ops/prim/broadcast.ts";
import { concat } from "../../src/ops/prim/concat.ts";
import { dot } from "../../src/ops/prim/dot.ts";
import { get } from "../../src/ops/prim/get.ts";
import { input } from "../../src/ops/prim/input.ts";
import { mul } from "../../src/ops/prim/mul.ts";
import { reduce } from "../../src/ops/prim/reduce.ts";
import { tanh } from "../../src/ops/prim/tanh.ts";
import { transpose } from "../../src/ops/prim/transpose.ts";
import { type Compiled, compile } from "../../src/passes/compile.ts";
import type { DType } from "../../src/util/dtype.ts";
import { inputValues, worstError } from "./graph_values.ts";
import { Simulation } from "./simulate.ts";

const state = (b: Builder, name: string, shape: number[]): Id =>
  input(b, { name, kind: "state", shape, dtype: "f32" });
const host = (b: Builder, name: string, shape: number[], dtype: DType = "f32"): Id =>
  input(b, { name, kind: "input", shape, dtype });
const matmul = (b: Builder, x: Id, y: Id): Id => dot(b, x, y, { batch: [], contract: [[1, 0]] });

/** Compiles, runs over simulated memory and compares with the meaning of the graph. */
function check(b: Builder): Compiled {
  const graph = b.finish();
  const values = inputValues(graph);
  const expected = interpret(graph, values);
  const compiled = compile(graph, { kind: "cpu", level: "v3", threads: 1 }, { verify: true });
  const got = new Simulation(compiled, values).run();
  for (const { name, alias } of graph.outputs) {
    const value = expected.get(name);
    if (value === undefined) throw new Error(`no output ${name}`);
    expect(worstError(got.get(alias ?? name), value), name).toBeLessThan(1e-12);
  }
  return compiled;
}

const opcodes = ({ program }: Compiled): string[] => program.instructions.map((i) => i.opcode);

/** Ops whose results lie in the arena; workspaces are not results. */
const temporaries = ({ plan }: Compiled): string[] =>
  plan.storages
    .filter(({ kind, name }) => kind === "arena" && name !== "workspace")
    .map(({ name }) => name);

describe("state", () => {
  test("is overwritten in place by the op that reads it last", () => {
    const b = new Builder("in_place");
    const s = state(b, "s", [4, 4]);
    b.output("next", tanh(b, add(b, s, host(b, "x", [4, 4]))), "s");
    const compiled = check(b);
    expect(opcodes(compiled)).toEqual(["map"]);
    expect(compiled.plan.arenaBytes).toBe(0);
  });

  test("keeps its value for a later reader", () => {
    const b = new Builder("later_reader");
    const s = state(b, "s", [4, 4]);
    const next = matmul(b, tanh(b, s), host(b, "x", [4, 4]));
    b.output("next", next, "s");
    b.output("y", matmul(b, next, s));
    expect(opcodes(check(b)).filter((opcode) => opcode === "copy")).toHaveLength(1);
  });

  test("is not overwritten through a transposed view of itself", () => {
    const b = new Builder("transposed");
    const s = state(b, "s", [4, 4]);
    b.output("next", add(b, s, transpose(b, s, [1, 0])), "s");
    expect(opcodes(check(b))).toEqual(["map", "copy"]);
  });

  test("two states change places", () => {
    const b = new Builder("swap");
    const first = state(b, "first", [3]);
    const second = state(b, "second", [3]);
    b.output("a", second, "first");
    b.output("b", first, "second");
    check(b);
  });

  test("is shown as it was while it is replaced", () => {
    const b = new Builder("shown");
    const s = state(b, "s", [3]);
    b.output("before", s);
    b.output("next", tanh(b, s), "s");
    b.output("again", s);
    check(b);
  });

  test("stays when nothing replaces it", () => {
    const b = new Builder("kept");
    const s = state(b, "s", [3]);
    b.output("same", s, "s");
    b.output("y", tanh(b, s));
    expect(opcodes(check(b))).toEqual(["map"]);
  });

  test("that is only written needs no input", () => {
    const b = new Builder("written");
    b.output("s", tanh(b, host(b, "x", [3])), "s");
    const compiled = compile(b.finish(), { kind: "cpu", level: "v3", threads: 1 });
    expect(compiled.plan.states).toEqual([{ name: "s", shape: [3], dtype: "f32", bytes: 12 }]);
    expect(opcodes(compiled)).toEqual(["map"]);
  });
});

describe("names", () => {
  const compiled = (b: Builder) => () =>
    compile(b.finish(), { kind: "cpu", level: "v3", threads: 1 }, { verify: false });

  test("of inputs, states and outputs are unique", () => {
    const twice = new Builder("twice");
    const x = host(twice, "x", [3]);
    twice.output("y", add(twice, x, host(twice, "x", [3], "f32")));
    twice.output("z", tanh(twice, host(twice, "x", [1])));
    expect(compiled(twice)).toThrow("[input] expected one input per name, got x twice");

    const states = new Builder("states");
    states.output("y", tanh(states, state(states, "s", [3])));
    states.output("z", tanh(states, state(states, "s", [2])));
    expect(compiled(states)).toThrow("[input] expected one input per state, got s twice");

    const outputs = new Builder("outputs");
    outputs.output("y", host(outputs, "x", [3]));
    outputs.output("y", tanh(outputs, host(outputs, "x", [3])));
    expect(compiled(outputs)).toThrow("[output] expected one output per name, got y twice");

    const aliases = new Builder("aliases");
    const s = state(aliases, "s", [3]);
    aliases.output("y", tanh(aliases, s), "s");
    aliases.output("z", add(aliases, s, s), "s");
    expect(compiled(aliases)).toThrow("[output] expected one output per state, got two for s");
  });

  test("a state's next value has its type", () => {
    const b = new Builder("types");
    state(b, "s", [3]);
    b.output("y", tanh(b, host(b, "x", [4])), "s");
    expect(compiled(b)).toThrow("[output] expected y as f32[3] like state s, got f32[4]");
  });
});

describe("accumulation", () => {
  test("a product adds itself to the state", () => {
    const b = new Builder("product");
    const x = host(b, "x", [4, 4]);
    b.output("g", add(b, state(b, "g", [4, 4]), matmul(b, x, x)), "g");
    const compiled = check(b);
    expect(opcodes(compiled)).toEqual(["matmul"]);
    expect(temporaries(compiled)).toEqual([]);
  });

  test("a sum of products adds each term to the state", () => {
    const b = new Builder("two_products");
    const x = host(b, "x", [4, 4]);
    const y = host(b, "y", [4, 4]);
    const sum = add(b, matmul(b, x, y), matmul(b, y, x));
    b.output("g", add(b, state(b, "g", [4, 4]), sum), "g");
    const compiled = check(b);
    expect(opcodes(compiled)).toEqual(["matmul", "matmul"]);
    expect(temporaries(compiled)).toEqual([]);
  });

  test("both gradients of a tied embedding go to the state, and the loss runs once", () => {
    const b = new Builder("tied");
    // Large enough that the loss's workspace is smaller than a gradient of the table.
    const [rows, width, vocab] = [6, 32, 400];
    const table = state(b, "table", [vocab, width]);
    const ids = host(b, "ids", [rows], "i32");
    const x = tanh(b, embedding(b, ids, table));
    const { loss } = linearCrossEntropy(b, x, table, ids, { compute: "f32" });
    const total = reduce(b, loss, "sum", [0]);
    const [gradient = 0] = grad(b, total, [table]);
    b.output("g", add(b, state(b, "g", [vocab, width]), gradient), "g");
    b.output("loss", total);
    const compiled = check(b);
    expect(opcodes(compiled)).not.toContain("linear_cross_entropy");
    expect(opcodes(compiled)).not.toContain("copy");
    expect(compiled.plan.arenaBytes).toBeLessThan(vocab * width * 4);
  });

  test("a term that depends on the kernel's other results is not folded into it", () => {
    const b = new Builder("dependent");
    const shape = [4, 6];
    const x = host(b, "x", shape);
    const w = host(b, "w", [6]);
    const y = layerNorm(b, x, w, null, 1e-3);
    const grads = layerNormGrad(b, x, w, get(b, y, 1), get(b, y, 2), y, false);
    b.output("sum", add(b, grads.dx, broadcast(b, grads.dweight, shape, [1])));
    expect(opcodes(check(b))).toContain("map");
  });
});

describe("results over operands", () => {
  test("a map overwrites an operand that dies", () => {
    const b = new Builder("dying");
    const h = matmul(b, host(b, "x", [4, 4]), host(b, "w", [4, 4]));
    const y = tanh(b, h);
    b.output("y", reduce(b, matmul(b, y, y), "sum", [0]));
    const { plan } = check(b);
    expect(plan.storages.filter(({ shares }) => shares !== null)).toHaveLength(1);
  });

  test("but not one that it also reads transposed", () => {
    const b = new Builder("dying_transposed");
    const h = matmul(b, host(b, "x", [4, 4]), host(b, "w", [4, 4]));
    const y = add(b, h, transpose(b, h, [1, 0]));
    b.output("y", reduce(b, matmul(b, y, y), "sum", [0]));
    const { plan } = check(b);
    expect(plan.storages.filter(({ shares }) => shares !== null)).toHaveLength(0);
  });

  test("parts of a concat are written by their producers", () => {
    const b = new Builder("parts");
    const x = host(b, "x", [4, 4]);
    const w = host(b, "w", [4, 4]);
    const joined = concat(b, [matmul(b, x, w), matmul(b, w, x)], 1);
    b.output("y", matmul(b, joined, host(b, "v", [8, 3])));
    expect(opcodes(check(b))).toEqual(["matmul", "matmul", "matmul"]);
  });
});

describe("epilogues", () => {
  test("a residual that depends on the saved value stays outside", () => {
    const b = new Builder("late_residual");
    const h = matmul(b, host(b, "x", [4, 4]), host(b, "w", [4, 4]));
    const other = matmul(b, h, host(b, "v", [4, 4]));
    b.output("y", add(b, gelu(b, h, "tanh"), other));
    b.output("h", mul(b, h, h));
    check(b);
  });

  test("a reader that stands before the activation gets the saved value", () => {
    const b = new Builder("early_reader");
    const h = matmul(b, host(b, "x", [4, 4]), host(b, "w", [4, 4]));
    const early = matmul(b, h, host(b, "v", [4, 4]));
    const a = gelu(b, h, "erf");
    b.output("y", matmul(b, a, early));
    const compiled = check(b);
    expect(opcodes(compiled)).toEqual(["matmul", "matmul", "matmul"]);
  });

  test("a sum of products whose additions all stand at the end is a chain of products", () => {
    const b = new Builder("sum_of_products");
    const x = host(b, "x", [4, 4]);
    const [p = 0, q = 0, r = 0] = ["u", "v", "w"].map((name) =>
      matmul(b, x, host(b, name, [4, 4])),
    );
    b.output("y", add(b, add(b, p, q), r));
    const compiled = check(b);
    expect(opcodes(compiled)).toEqual(["matmul", "matmul", "matmul"]);
  });
});
