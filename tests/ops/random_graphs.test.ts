/** @file Random graphs give the same numbers from the reference, after the passes, and from the kernels. */
import { afterAll, expect, test } from "bun:test";
import { at } from "../../src/ops/check.ts";
import { interpret } from "../../src/ops/interpreter.ts";
import { compile } from "../../src/passes/compile.ts";
import { openDevice } from "../../src/runtime/index.ts";
import { targetOf } from "../../src/train/target.ts";
import { runNative } from "./native.ts";
import { randomGraph } from "./random_graphs.ts";
import { sampleTensor } from "./values.ts";

const device = openDevice({ threads: 2, guarded: true });
afterAll(() => device.close());

const target = targetOf(device);

test.each(Array.from({ length: 150 }, (_, seed) => seed))("graph %d", (seed) => {
  const graph = randomGraph(seed);
  const shape = at(at(graph.nodes, 0).types, 0).shape;
  const values = new Map(
    ["0", "1"].map((name) => [name, sampleTensor({ shape, dtype: "f32" }, `${seed} ${name}`)]),
  );
  const expected = interpret(graph, values);
  for (const fuse of [true, false]) {
    const compiled = compile(graph, target, { fuse, verify: true });
    const lowered = interpret(compiled.graph, values);
    const native = runNative(device, compiled, values).values;
    for (const [name, { data }] of expected) {
      const far = (got: Float64Array | undefined, limit: number) =>
        data.findIndex((x, i) => !(Math.abs(x - (got?.[i] ?? Number.NaN)) <= limit));
      expect(far(lowered.get(name)?.data, 1e-9), `output ${name} lowered, fuse ${fuse}`).toBe(-1);
      expect(far(native.get(name)?.data, 1e-4), `output ${name} native, fuse ${fuse}`).toBe(-1);
    }
  }
});
