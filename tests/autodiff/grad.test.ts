/** @file Reverse mode: what it visits, how it accumulates, scopes and phases, and its errors. */
import { describe, expect, test } from "bun:test";
import { grad } from "../../src/autodiff/grad.ts";
import type { Id } from "../../src/ir/graph.ts";
import { Builder } from "../../src/ops/builder.ts";
import { at } from "../../src/ops/check.ts";
import { defineOp } from "../../src/ops/define.ts";
import { interpret } from "../../src/ops/interpreter.ts";
import { add } from "../../src/ops/prim/add.ts";
import { argmax } from "../../src/ops/prim/argmax.ts";
import { cast } from "../../src/ops/prim/cast.ts";
import { constant } from "../../src/ops/prim/const.ts";
import { dot } from "../../src/ops/prim/dot.ts";
import { exp } from "../../src/ops/prim/exp.ts";
import { input } from "../../src/ops/prim/input.ts";
import { max } from "../../src/ops/prim/max.ts";
import { mul } from "../../src/ops/prim/mul.ts";
import { reduce } from "../../src/ops/prim/reduce.ts";
import { slice } from "../../src/ops/prim/slice.ts";
import { stopGradient } from "../../src/ops/prim/stop_gradient.ts";
import { refTensor } from "../../src/ops/reference.ts";
import { UserError } from "../../src/util/errors.ts";

const floats = (b: Builder, name: string, shape: readonly number[]): Id =>
  input(b, { name, kind: "input", shape, dtype: "f32" });

const sum = (b: Builder, x: Id): Id =>
  reduce(
    b,
    x,
    "sum",
    b.type(x).shape.map((_, d) => d),
  );

function run(
  b: Builder,
  ids: readonly Id[],
  values: Record<string, readonly number[]>,
): number[][] {
  ids.forEach((id, i) => {
    b.output(`${i}`, id);
  });
  const graph = b.finish();
  const inputs = graph.nodes
    .filter(({ op }) => op === "input")
    .map((node) => {
      const name = String(node.attrs.name);
      const { shape, dtype } = at(node.types, 0);
      return [name, refTensor(shape, dtype, values[name])] as const;
    });
  const results = interpret(graph, new Map(inputs));
  return ids.map((_, i) => Array.from(results.get(`${i}`)?.data ?? []));
}

/** Ops that an id depends on. */
function opsUnder(b: Builder, id: Id): string[] {
  const seen = new Set<Id>();
  const visit = (i: Id): void => {
    if (seen.has(i)) return;
    seen.add(i);
    b.node(i).inputs.forEach(visit);
  };
  visit(id);
  return Array.from(seen, (i) => b.node(i).op).toSorted();
}

describe("grad", () => {
  test("sums over all paths, one wrt depending on another", () => {
    const b = new Builder("paths");
    const x = floats(b, "x", [2]);
    const y = mul(b, x, x);
    const loss = sum(b, mul(b, y, x));
    const [dx, dy] = run(b, grad(b, loss, [x, y]), { x: [2, 3] });
    expect(dx).toEqual([12, 27]);
    expect(dy).toEqual([2, 3]);
  });

  test("an op that reads one value twice gets both contributions", () => {
    const b = new Builder("twice");
    const x = floats(b, "x", [2]);
    expect(run(b, grad(b, sum(b, add(b, x, x)), [x]), { x: [1, 5] })).toEqual([[2, 2]]);
  });

  test("a value that the output does not depend on gets zeros", () => {
    const b = new Builder("unused");
    const x = floats(b, "x", [2]);
    const z = floats(b, "z", [3]);
    const detached = stopGradient(b, z);
    const loss = add(b, sum(b, x), sum(b, detached));
    expect(run(b, grad(b, loss, [x, z]), { x: [1, 1], z: [1, 1, 1] })).toEqual([
      [1, 1],
      [0, 0, 0],
    ]);
  });

  test("only nodes between wrt and the output are differentiated", () => {
    const b = new Builder("path only");
    const x = floats(b, "x", [2]);
    const z = floats(b, "z", [2]);
    const loss = sum(b, mul(b, x, exp(b, z)));
    const before = b.nodes.length;
    grad(b, loss, [x]);
    const added = b.nodes.slice(before).map(({ op }) => op);
    expect(added).toEqual(["const", "broadcast", "mul"]);
  });

  test("a given cotangent replaces the 1, and the output may then have any shape", () => {
    const b = new Builder("cotangent");
    const x = floats(b, "x", [2]);
    const gradients = grad(b, mul(b, x, x), [x], constant(b, 3, [2], "f32"));
    expect(run(b, gradients, { x: [1, 2] })).toEqual([[6, 12]]);
  });

  test("gradient nodes have the phase backward and the scope of their node", () => {
    const b = new Builder("scopes");
    const x = floats(b, "x", [2]);
    const y = b.within("blocks.0", () => b.within("mlp", () => exp(b, x)));
    const before = b.nodes.length;
    grad(
      b,
      b.within("loss", () => sum(b, y)),
      [x],
    );
    const added = b.nodes.slice(before).filter(({ phase }) => phase === "backward");
    expect(added.map(({ op, scope }) => `${op} ${scope}`)).toEqual([
      "const loss",
      "broadcast loss",
      "mul blocks.0.mlp",
    ]);
    expect(b.phase).toBe("forward");
    expect(b.scope).toBe("");
  });

  test("cotangents of bf16 values are f32, a bf16 product rounds its cotangent first", () => {
    const b = new Builder("bf16");
    const x = cast(b, floats(b, "x", [2, 3]), "bf16");
    const w = floats(b, "w", [3, 2]);
    const y = dot(b, x, cast(b, w, "bf16"), { batch: [], contract: [[1, 0]] });
    const [dw] = grad(b, sum(b, y), [w]);
    expect(b.type(dw ?? -1)).toEqual({ shape: [3, 2], dtype: "f32" });
    const product = b.node(dw ?? -1);
    expect(product.op).toBe("dot");
    expect(product.inputs.map((i) => b.type(i).dtype)).toEqual(["bf16", "bf16"]);
  });

  test("where maxima are equal, reduce shares the gradient and max gives it to x", () => {
    const b = new Builder("ties");
    const x = floats(b, "x", [3]);
    const y = floats(b, "y", [3]);
    const reduced = grad(b, reduce(b, x, "max", [0]), [x]);
    const paired = grad(b, sum(b, max(b, x, y)), [x, y]);
    expect(run(b, [...reduced, ...paired], { x: [3, 3, 1], y: [3, 0, 2] })).toEqual([
      [0.5, 0.5, 0],
      [1, 1, 0],
      [0, 0, 1],
    ]);
  });

  test("products for weights of either layout need no transpose", () => {
    for (const [shape, dim] of [
      [[3, 5], 0],
      [[5, 3], 1],
    ] as const) {
      const b = new Builder("layouts");
      const x = floats(b, "x", [4, 3]);
      const w = floats(b, "w", shape);
      const gradients = grad(b, sum(b, dot(b, x, w, { batch: [], contract: [[1, dim]] })), [x, w]);
      for (const id of gradients) expect(opsUnder(b, id)).not.toContain("transpose");
    }
  });
});

describe("slices of one value", () => {
  const parts = (b: Builder, x: Id, edges: readonly number[]): Id[] =>
    edges.slice(1).map((end, i) => slice(b, x, [0, at(edges, i)], [2, end]));

  test("that tile it give one concat", () => {
    const b = new Builder("tiles");
    const x = floats(b, "x", [2, 6]);
    const [q, k, v] = parts(b, x, [0, 2, 3, 6]);
    const loss = add(
      b,
      sum(b, mul(b, q ?? 0, q ?? 0)),
      add(b, sum(b, exp(b, k ?? 0)), sum(b, v ?? 0)),
    );
    const [dx] = grad(b, loss, [x]);
    expect(b.node(dx ?? -1).op).toBe("concat");
    expect(opsUnder(b, dx ?? -1)).not.toContain("pad");
    const values = { x: [1, 2, 0, 4, 5, 6, 7, 8, 0, 9, 9, 9] };
    expect(run(b, [dx ?? -1], values)).toEqual([[2, 4, 1, 1, 1, 1, 14, 16, 1, 1, 1, 1]]);
  });

  test("that overlap or leave gaps are padded and added", () => {
    const b = new Builder("overlap");
    const x = floats(b, "x", [2, 4]);
    const [left, right] = [slice(b, x, [0, 0], [2, 3]), slice(b, x, [0, 2], [2, 4])];
    const [dx] = grad(b, add(b, sum(b, left), sum(b, right)), [x]);
    expect(opsUnder(b, dx ?? -1)).toContain("pad");
    expect(run(b, [dx ?? -1], { x: [1, 2, 3, 4, 5, 6, 7, 8] })).toEqual([[1, 1, 2, 1, 1, 1, 2, 1]]);
  });

  test("and a use of the whole value is added to the concat", () => {
    const b = new Builder("whole too");
    const x = floats(b, "x", [2, 4]);
    const [p, q] = parts(b, x, [0, 2, 4]);
    const partial = add(b, sum(b, p ?? 0), sum(b, mul(b, q ?? 0, q ?? 0)));
    const [dx] = grad(b, add(b, partial, sum(b, exp(b, x))), [x]);
    expect(b.node(dx ?? -1).op).toBe("add");
    expect(opsUnder(b, dx ?? -1)).not.toContain("pad");
    expect(run(b, [dx ?? -1], { x: [0, 0, 0, 0, 0, 0, 0, 0] })).toEqual([[2, 2, 1, 1, 2, 2, 1, 1]]);
  });
});

describe("errors", () => {
  test("an output that is no f32 scalar", () => {
    const b = new Builder("output");
    const x = floats(b, "x", [2]);
    expect(() => grad(b, x, [x])).toThrow(
      new UserError("[grad] expected an f32 scalar to differentiate, got f32[2]"),
    );
  });

  test("integers have no gradient", () => {
    const b = new Builder("integers");
    const x = floats(b, "x", [2, 3]);
    const ids = argmax(b, x);
    expect(() => grad(b, sum(b, x), [ids])).toThrow(
      "[grad] expected float values to differentiate for, got %1 = argmax(%0) : i32[2]",
    );
  });

  test("an op that declares itself not differentiable is named", () => {
    const b = new Builder("hard");
    const hardOp = defineOp({
      name: "adamw",
      tier: "fused",
      doc: "Stands for the registered op of this name.",
      infer: (inputs) => inputs,
      kernels: {},
      samples: [],
    });
    const x = floats(b, "x", [2]);
    const y = b.within("optimizer", () => b.emit(hardOp, [x], {}));
    expect(() => grad(b, sum(b, y), [x])).toThrow(
      "[grad] expected differentiable ops, got %1 = adamw(%0) : f32[2]  # optimizer",
    );
  });
});
