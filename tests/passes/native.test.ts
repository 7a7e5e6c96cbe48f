/** @file Fused programs with state, run by the library, equal the reference executor on the traced graph. */
import { afterAll, describe, expect, test } from "bun:test";
import type { Graph } from "../../src/ir/graph.ts";
import { interpret } from "../../src/ops/interpreter.ts";
import { compile } from "../../src/passes/compile.ts";
import { LEVELS, libraryInfo, openDevice } from "../../src/runtime/index.ts";
import { buildMicro, buildUpdate } from "../../src/train/programs.ts";
import { LLAMA_STYLE, tinyGpt } from "../nn/models_for_tests.ts";
import { inputValues, worstError } from "./graph_values.ts";
import { runWithState } from "./native_run.ts";
import { randomGraph } from "./random_graph.ts";

const { cpu_level: best, levels } = libraryInfo();
const usable = levels.filter(
  (level) => best !== "none" && LEVELS.indexOf(level) <= LEVELS.indexOf(best),
);
const adamw = { betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0.1, gradClip: 1 } as const;
const batch = { rows: 3, length: 8 };

describe.each(usable)("level %s", (level) => {
  const device = openDevice({ level, threads: 2 });
  afterAll(() => device.close());

  function check(graph: Graph, limit: number, fuse = true): void {
    const values = inputValues(graph);
    const expected = interpret(graph, values);
    const compiled = compile(graph, { kind: "cpu", level, threads: 2 }, { verify: true, fuse });
    const got = runWithState(device, compiled, values);
    for (const { name, alias } of graph.outputs) {
      const value = expected.get(name);
      if (value === undefined) throw new Error(`no output ${name}`);
      const error = worstError(got.get(alias ?? name), value);
      expect(error, `${graph.name} ${name}`).toBeLessThan(limit);
    }
  }

  const styles = { gpt2: [], llama: LLAMA_STYLE, dropout: ["architecture.dropout=0.3"] };
  test.each(Object.entries(styles))("training programs of %s", (_, style) => {
    const model = tinyGpt(...style);
    for (const accumulate of [false, true]) {
      for (const fuse of [false, true]) {
        check(buildMicro(model, { batch, precision: "f32", seed: 1, accumulate }), 5e-5, fuse);
      }
      check(buildMicro(model, { batch, precision: "mixed", seed: 1, accumulate }), 5e-2);
    }
    check(buildUpdate(model, adamw), 1e-5);
  });

  test("random graphs", () => {
    // Those without bf16: a rounded comparison may choose otherwise.
    for (let seed = 0; seed < 60; seed++) {
      const graph = randomGraph(seed, 10 + (seed % 25));
      const rounds = graph.nodes.some(({ types }) => types.some(({ dtype }) => dtype === "bf16"));
      if (!rounds) check(graph, 1e-3);
    }
  });
});
