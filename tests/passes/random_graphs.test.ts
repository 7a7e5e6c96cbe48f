/** @file Random graphs: what the passes make of them means the same, as a graph and over simulated memory. */
import { expect, test } from "bun:test";
import { interpret } from "../../src/ops/interpreter.ts";
import { compile } from "../../src/passes/compile.ts";
import { inputValues, worstError } from "./graph_values.ts";
import { randomGraph } from "./random_graph.ts";
import { Simulation } from "./simulate.ts";

const target = { kind: "cpu", level: "v3", threads: 1 } as const;
const GRAPHS = 150;

function check(seed: number, fuse: boolean): void {
  const graph = randomGraph(seed, 10 + (seed % 25));
  const values = inputValues(graph);
  const expected = interpret(graph, values);
  const compiled = compile(graph, target, { verify: true, fuse });
  const fused = interpret(compiled.graph, values);
  const got = new Simulation(compiled, values).run();
  for (const { name, alias } of graph.outputs) {
    const value = expected.get(name);
    if (value === undefined) throw new Error(`no output ${name}`);
    expect(worstError(fused.get(name), value), `seed ${seed} ${name}`).toBeLessThan(1e-8);
    expect(worstError(got.get(alias ?? name), value), `seed ${seed} ${name}`).toBeLessThan(1e-8);
  }
}

test.each([true, false])("random graphs with fuse: %p", (fuse) => {
  for (let seed = 0; seed < GRAPHS; seed++) check(seed, fuse);
});
