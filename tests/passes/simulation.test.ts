/** @file Whole training programs over simulated memory equal the reference executor on the traced graph. */
import { describe, expect, test } from "bun:test";
import type { Graph } from "../../src/ir/graph.ts";
import { at } from "../../src/ops/check.ts";
import { interpret } from "../../src/ops/interpreter.ts";
import type { RefTensor } from "../../src/ops/reference.ts";
import { type CompileOptions, compile } from "../../src/passes/compile.ts";
import {
  buildEval,
  buildInit,
  buildLogits,
  buildMicro,
  buildUpdate,
} from "../../src/train/programs.ts";
import { LLAMA_STYLE, tinyGpt } from "../nn/models_for_tests.ts";
import { inputValues, worstError } from "./graph_values.ts";
import { Simulation } from "./simulate.ts";

const target = { kind: "cpu", level: "v3", threads: 1 } as const;

function check(graph: Graph, options: CompileOptions = {}): void {
  const values = inputValues(graph);
  const expected = interpret(graph, values);
  const compiled = compile(graph, target, { verify: true, ...options });
  const got = new Simulation(compiled, values).run();
  for (const { name, alias } of graph.outputs) {
    const value = got.get(alias ?? name);
    expect(worstError(value, at(expectedOf(expected, name), 0))).toBeLessThan(1e-9);
  }
  // State that the program does not replace is as it was.
  const replaced = new Set(graph.outputs.map(({ alias }) => alias));
  for (const { name } of compiled.plan.states) {
    const before = values.get(name);
    if (!replaced.has(name) && before !== undefined) {
      expect(worstError(got.get(name), before)).toBe(0);
    }
  }
  const { arenaBytes, arenaLowerBoundBytes } = compiled.plan;
  expect(arenaBytes).toBeLessThanOrEqual(1.05 * arenaLowerBoundBytes);
}

const expectedOf = (values: ReadonlyMap<string, RefTensor>, name: string): RefTensor[] => {
  const value = values.get(name);
  return value === undefined ? [] : [value];
};

const batch = { rows: 2, length: 8 };
const STYLES = {
  gpt2: [],
  llama: LLAMA_STYLE,
  dropout: ["architecture.dropout=0.2"],
};

describe.each(Object.entries(STYLES))("%s", (_, style) => {
  const model = tinyGpt(...style);

  test.each(["f32", "mixed"] as const)("forward and backward in %s", (precision) => {
    for (const accumulate of [false, true]) {
      check(buildMicro(model, { batch, precision, seed: 3, accumulate }));
    }
  });

  test("without fusion", () => {
    check(buildMicro(model, { batch, precision: "mixed", seed: 3, accumulate: true }), {
      fuse: false,
    });
  });

  test("the other programs", () => {
    check(buildInit(model, 5));
    check(buildEval(model, batch, "mixed"));
    check(buildLogits(model, "f32"));
    const adamw = { betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0.1, gradClip: 1 } as const;
    check(buildUpdate(model, adamw));
  });
});
