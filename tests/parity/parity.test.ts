/**
 * @file The engine against PyTorch in f64: activations, loss, every gradient and fifty AdamW steps of two small GPTs, on
 * every CPU level of this machine. Bounds are those of docs on numerics: per tensor ||ours - f64|| / ||f64||.
 */

import { describe, expect, test } from "bun:test";
import type { Graph } from "../../src/ir/graph.ts";
import type { Gpt } from "../../src/models/gpt/gpt.ts";
import type { Precision } from "../../src/nn/trace.ts";
import { LARGEST_F32 } from "../../src/optim/adamw_update.ts";
import { compile } from "../../src/passes/index.ts";
import { LEVELS, type Level, libraryInfo, openDevice } from "../../src/runtime/index.ts";
import { Engine } from "../../src/train/engine.ts";
import type { HostValue } from "../../src/train/host_values.ts";
import type { TrainingProgramName } from "../../src/train/job_programs.ts";
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

const BOUNDS: Record<Precision, { tensor: number; keyBias: number; training: number }> = {
  f32: { tensor: 2e-6, keyBias: 1e-7, training: 1e-4 },
  mixed: { tensor: 2e-2, keyBias: 1e-3, training: 2e-2 },
};
const THREADS = 2;

function engineFor(level: Level, graphs: Partial<Record<TrainingProgramName, Graph>>): Engine {
  const device = openDevice({ level, threads: THREADS });
  const target = { kind: "cpu", level, threads: THREADS } as const;
  const programs = Object.entries(graphs).map(
    ([name, graph]) => [name as TrainingProgramName, compile(graph, target)] as const,
  );
  return new Engine(device, new Map(programs));
}

function loadWeights(engine: Engine, model: Gpt, fixture: Fixture): void {
  for (const { path } of model.parameters()) {
    engine.state(`param/${path}`).write(tensorOf(fixture, `param/${path}`));
  }
}

function hostInputs(fixture: Fixture, at: number): Record<string, HostValue> {
  const batch = fixture.batches[at % fixture.batches.length];
  if (batch === undefined) throw new Error("the fixture has no batches");
  return {
    tokens: new Int32Array(batch.tokens),
    targets: new Int32Array(batch.targets),
    step: at,
    sample: new Uint32Array(fixture.config.rows),
  };
}

const arrayOf = (value: HostValue): ArrayLike<number> =>
  typeof value === "number" ? [value] : value;

function readState(engine: Engine, name: string): Float32Array {
  const buffer = engine.state(name);
  const values = new Float32Array(buffer.bytes / 4);
  buffer.read(values);
  return values;
}

function close(engine: Engine): void {
  engine.free();
  engine.device.close();
}

/** Name and error of the tensors beyond the bound, for the message. */
function beyond(errors: Record<string, number>, bound: number): Record<string, number> {
  return Object.fromEntries(Object.entries(errors).filter(([, error]) => !(error <= bound)));
}

const { cpu_level, levels } = libraryInfo();
const usable = levels.filter(
  (level) => cpu_level !== "none" && LEVELS.indexOf(level) <= LEVELS.indexOf(cpu_level),
);
const cases = usable.flatMap((level) =>
  VARIANTS.flatMap((name) =>
    (["f32", "mixed"] as const).map((precision) => [level, name, precision] as const),
  ),
);

test("the library has a level for this machine", () => {
  expect(usable.length).toBeGreaterThan(0);
});

describe.each(cases)("%s %s %s", (level, name, precision) => {
  const bounds = BOUNDS[precision];

  test("activations and logits", async () => {
    const fixture = await readFixture(name);
    const model = modelOf(fixture);
    const { rows, length } = fixture.config;
    const engine = engineFor(level, { eval: activationGraph(model, { rows, length }, precision) });
    loadWeights(engine, model, fixture);
    const run = await engine.start("eval", hostInputs(fixture, 0));
    const errors: Record<string, number> = {};
    for (const [key, expected] of fixture.tensors) {
      if (!key.startsWith("activation/")) continue;
      const ours = await run.output(key.slice("activation/".length));
      errors[key] = relativeError(arrayOf(ours), expected);
    }
    close(engine);
    expect(Object.keys(errors).length).toBe(fixture.config.n_layer + 2);
    expect(beyond(errors, bounds.tensor)).toEqual({});
  });

  test("loss and every gradient", async () => {
    const fixture = await readFixture(name);
    const model = modelOf(fixture);
    const { rows, length } = fixture.config;
    const batch = { rows, length };
    const engine = engineFor(level, {
      micro: buildMicro(model, { batch, precision, seed: 0, accumulate: false }),
    });
    loadWeights(engine, model, fixture);
    await (await engine.start("micro", hostInputs(fixture, 0))).done();
    const counted = new Int32Array(1);
    engine.state("sum/tokens").read(counted);
    const tokens = counted[0] ?? 0;
    const errors: Record<string, number> = {};
    let keyBias = 0;
    for (const { path } of model.parameters()) {
      const mean = readState(engine, `grad/${path}`).map((sum) => sum / tokens);
      errors[path] = relativeError(mean, tensorOf(fixture, `grad/${path}`));
      if (!path.endsWith("qkv.bias")) continue;
      keyBias = Math.max(keyBias, ...keyBiasPart(fixture, mean).map(Math.abs));
    }
    const loss = (readState(engine, "sum/loss")[0] ?? 0) / tokens;
    close(engine);
    expect(tokens).toBe(fixture.batches[0]?.targets.filter((target) => target >= 0).length ?? 0);
    expect(Math.abs(loss - fixture.loss) / fixture.loss).toBeLessThan(bounds.tensor);
    expect(beyond(errors, bounds.tensor)).toEqual({});
    expect(keyBias).toBeLessThan(bounds.keyBias);
  });

  test("fifty AdamW steps", async () => {
    const fixture = await readFixture(name);
    const model = modelOf(fixture);
    const { rows, length } = fixture.config;
    const { learning_rate, betas, eps, weight_decay, grad_clip } = fixture.optimizer;
    const batch = { rows, length };
    const options = { betas, eps, weightDecay: weight_decay, gradClip: grad_clip };
    const engine = engineFor(level, {
      micro: buildMicro(model, { batch, precision, seed: 0, accumulate: false }),
      update: buildUpdate(model, options),
    });
    loadWeights(engine, model, fixture);
    const { losses, grad_norms: norms } = fixture.training;
    const errors: Record<string, number> = {};
    for (let at = 0; at < losses.length; at++) {
      await engine.start("micro", hostInputs(fixture, at));
      const update = await engine.start("update", {
        ...{ learning_rate, step: at + 1, norm_limit: LARGEST_F32 },
      });
      const loss = Number(await update.output("loss"));
      const norm = Number(await update.output("grad_norm"));
      errors[`loss ${at}`] = Math.abs(loss - (losses[at] ?? 0));
      errors[`norm ${at}`] = Math.abs(norm / (norms[at] ?? 0) - 1);
    }
    close(engine);
    expect(Object.keys(errors).length).toBe(100);
    expect(beyond(errors, bounds.training)).toEqual({});
  });
});
