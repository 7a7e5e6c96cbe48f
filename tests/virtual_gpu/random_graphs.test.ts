/** @file Random graphs on a GPU, in CI the virtual one, give the reference's numbers, fused and one kernel a node. */
import { afterAll, expect, test } from "bun:test";
import { at } from "../../src/ops/check.ts";
import { interpret } from "../../src/ops/interpreter.ts";
import { compile } from "../../src/passes/compile.ts";
import { targetOf } from "../../src/train/target.ts";
import { runNative } from "../ops/native.ts";
import { randomGraph } from "../ops/random_graphs.ts";
import { sampleTensor } from "../ops/values.ts";
import { openTestGpu } from "./virtual_gpu.ts";

const device = openTestGpu();
afterAll(() => device.close());

test.each(Array.from({ length: 40 }, (_, seed) => seed))("graph %d", (seed) => {
  const graph = randomGraph(seed);
  const shape = at(at(graph.nodes, 0).types, 0).shape;
  const values = new Map(
    ["0", "1"].map((name) => [name, sampleTensor({ shape, dtype: "f32" }, `${seed} ${name}`)]),
  );
  const expected = interpret(graph, values);
  for (const fuse of [true, false]) {
    const got = runNative(device, compile(graph, targetOf(device), { fuse }), values).values;
    for (const [name, { data }] of expected) {
      const found = got.get(name)?.data;
      const far = data.findIndex((x, i) => !(Math.abs(x - (found?.[i] ?? Number.NaN)) <= 1e-4));
      expect(far, `output ${name}, fuse ${fuse}`).toBe(-1);
    }
  }
});
