/**
 * @file What our graphs mean, against PyTorch in f64: activations, loss and every gradient of the traced model, run by the
 * f64 reference executor. Independent of kernels, so a difference here is a wrong formula and not rounding.
 */
import { describe, expect, test } from "bun:test";
import type { Graph } from "../../src/ir/graph.ts";
import { interpret } from "../../src/ops/interpreter.ts";
import type { InputOpAttrs } from "../../src/ops/prim/input.ts";
import { type RefTensor, refTensor } from "../../src/ops/reference.ts";
import { buildMicro, buildUpdate } from "../../src/train/programs.ts";
import {
  type Fixture,
  keyBiasPart,
  modelOf,
  readFixture,
  relativeError,
  tensorOf,
  VARIANTS,
} from "./fixture.ts";
import { activationGraph } from "./graphs.ts";

/** The fixture stores f32: half an ulp per element. */
const STORED = 1e-7;

/** Inputs by name: what `known` has, weights of the fixture, else zeros. */
function run(
  graph: Graph,
  fixture: Fixture,
  known: Readonly<Record<string, ArrayLike<number> | undefined>> = { ...fixture.batches[0] },
): Map<string, RefTensor> {
  const values = new Map<string, RefTensor>();
  for (const node of graph.nodes) {
    if (node.op !== "input") continue;
    const { name, shape, dtype } = node.attrs as InputOpAttrs;
    const stored = name.startsWith("param/") ? tensorOf(fixture, name) : undefined;
    values.set(name, refTensor(shape, dtype, known[name] ?? stored));
  }
  return interpret(graph, values);
}

function dataOf(outputs: Map<string, RefTensor>, name: string): Float64Array {
  const value = outputs.get(name);
  if (value === undefined) throw new Error(`the graph has no output ${name}`);
  return value.data;
}

describe.each([...VARIANTS])("%s", (name) => {
  test("the traced model means what PyTorch computes", async () => {
    const fixture = await readFixture(name);
    const { rows, length } = fixture.config;
    const outputs = run(activationGraph(modelOf(fixture), { rows, length }, "f32"), fixture);
    const names = [...fixture.tensors.keys()].filter((key) => key.startsWith("activation/"));
    expect(names.length).toBe(fixture.config.n_layer + 2);
    for (const key of names) {
      const ours = dataOf(outputs, key.slice("activation/".length));
      expect(relativeError(ours, tensorOf(fixture, key)), key).toBeLessThan(STORED);
    }
  });

  test("loss and every gradient are PyTorch's", async () => {
    const fixture = await readFixture(name);
    const model = modelOf(fixture);
    const { rows, length } = fixture.config;
    const options = {
      batch: { rows, length },
      precision: "f32",
      seed: 0,
      accumulate: false,
    } as const;
    const outputs = run(buildMicro(model, options), fixture);
    const tokens = dataOf(outputs, "sum/tokens")[0] ?? 0;
    const kept = fixture.batches[0]?.targets.filter((target) => target >= 0).length ?? 0;
    expect(tokens).toBe(kept);
    expect(Math.abs((dataOf(outputs, "sum/loss")[0] ?? 0) / tokens - fixture.loss)).toBeLessThan(
      1e-12,
    );
    const paths = model.parameters().map((param) => param.path);
    expect(paths.toSorted()).toEqual(Object.keys(fixture.mapping).toSorted());
    for (const path of paths) {
      const mean = dataOf(outputs, `grad/${path}`).map((sum) => sum / tokens);
      expect(relativeError(mean, tensorOf(fixture, `grad/${path}`)), path).toBeLessThan(STORED);
      if (path.endsWith("qkv.bias")) {
        const keys = keyBiasPart(fixture, mean);
        expect(Math.max(...keys.map(Math.abs)), path).toBeLessThan(1e-15);
      }
    }
  });

  test("AdamW steps are PyTorch's", async () => {
    const fixture = await readFixture(name);
    const model = modelOf(fixture);
    const { rows, length } = fixture.config;
    const { learning_rate, betas, eps, weight_decay, grad_clip } = fixture.optimizer;
    const options = {
      batch: { rows, length },
      precision: "f32",
      seed: 0,
      accumulate: false,
    } as const;
    const micro = buildMicro(model, options);
    const adamw = { betas, eps, weightDecay: weight_decay, gradClip: grad_clip };
    const update = buildUpdate(model, adamw);
    let state: Record<string, Float64Array> = {};
    for (let at = 0; at < 3; at++) {
      const sums = run(micro, fixture, { ...state, ...fixture.batches[at] });
      const sumsByName = Object.fromEntries([...sums].map(([key, { data }]) => [key, data]));
      const host = { learning_rate: [learning_rate], step: [at + 1], norm_limit: [1e30] };
      const after = run(update, fixture, { ...state, ...sumsByName, ...host });
      state = Object.fromEntries([...after].map(([key, { data }]) => [key, data]));
      const { losses, grad_norms: norms } = fixture.training;
      expect(Math.abs((state.loss?.[0] ?? 0) - (losses[at] ?? 0))).toBeLessThan(1e-9);
      expect(Math.abs((state.grad_norm?.[0] ?? 0) - (norms[at] ?? 0))).toBeLessThan(1e-8);
    }
  });
});
