/**
 * @file What the parity tests compare: activations, gradients and AdamW steps of a fixture's model on a device, as errors
 * ||ours - f64|| / ||f64|| by tensor.
 */
import type { Graph } from "../../src/ir/graph.ts";
import type { Gpt } from "../../src/models/gpt/gpt.ts";
import type { Precision } from "../../src/nn/trace.ts";
import { LARGEST_F32 } from "../../src/optim/adamw_update.ts";
import type { Device } from "../../src/runtime/index.ts";
import { Engine } from "../../src/train/engine.ts";
import type { HostValue } from "../../src/train/host_values.ts";
import type { TrainingProgramName } from "../../src/train/job_programs.ts";
import { compileIn } from "../../src/train/precision.ts";
import { buildMicro, buildUpdate } from "../../src/train/programs.ts";
import { targetOf } from "../../src/train/target.ts";
import { type Fixture, keyBiasPart, modelOf, relativeError, tensorOf } from "./fixture.ts";
import { activationGraph } from "./graphs.ts";

export type Errors = Record<string, number>;

/** Per tensor; the key bias, whose true gradient is 0, in absolute numbers; losses and norms of fifty steps. */
export const BOUNDS: Record<Precision, { tensor: number; keyBias: number; training: number }> = {
  f32: { tensor: 2e-6, keyBias: 1e-7, training: 1e-4 },
  mixed: { tensor: 2e-2, keyBias: 1e-3, training: 2e-2 },
  // 1e-1 is what is promised; measured: 2e-2.
  bf16: { tensor: 4e-2, keyBias: 2e-3, training: 5e-2 },
};

function engineFor(
  device: Device,
  precision: Precision,
  graphs: Partial<Record<TrainingProgramName, Graph>>,
): Engine {
  const target = targetOf(device);
  const programs = Object.entries(graphs).map(
    ([name, graph]) => [name as TrainingProgramName, compileIn(precision, graph, target)] as const,
  );
  return new Engine(device, new Map(programs));
}

function loadWeights(engine: Engine, model: Gpt, fixture: Fixture): void {
  for (const { path } of model.parameters())
    engine.state(`param/${path}`).write(tensorOf(fixture, `param/${path}`));
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

const batchOf = ({ config: { rows, length } }: Fixture) => ({ rows, length });

/** Of every block, the last norm and the logits. */
export async function activationErrors(
  device: Device,
  fixture: Fixture,
  precision: Precision,
): Promise<Errors> {
  const model = modelOf(fixture);
  const graph = activationGraph(model, batchOf(fixture), precision);
  const engine = engineFor(device, precision, { eval: graph });
  loadWeights(engine, model, fixture);
  const run = await engine.start("eval", hostInputs(fixture, 0));
  const errors: Errors = {};
  for (const [key, expected] of fixture.tensors) {
    if (!key.startsWith("activation/")) continue;
    const ours = await run.output(key.slice("activation/".length));
    errors[key] = relativeError(arrayOf(ours), expected);
  }
  engine.free();
  return errors;
}

export interface GradientErrors {
  readonly tokens: number;
  /** Relative. */
  readonly loss: number;
  readonly gradients: Errors;
  /** Largest part of a gradient that is truly 0. */
  readonly keyBias: number;
}

export async function gradientErrors(
  device: Device,
  fixture: Fixture,
  precision: Precision,
): Promise<GradientErrors> {
  const model = modelOf(fixture);
  const options = { batch: batchOf(fixture), precision, seed: 0, accumulate: false };
  const engine = engineFor(device, precision, { micro: buildMicro(model, options) });
  loadWeights(engine, model, fixture);
  await (await engine.start("micro", hostInputs(fixture, 0))).done();
  const counted = new Int32Array(1);
  engine.state("sum/tokens").read(counted);
  const tokens = counted[0] ?? 0;
  const gradients: Errors = {};
  let keyBias = 0;
  for (const { path } of model.parameters()) {
    const mean = readState(engine, `grad/${path}`).map((sum) => sum / tokens);
    gradients[path] = relativeError(mean, tensorOf(fixture, `grad/${path}`));
    if (!path.endsWith("qkv.bias")) continue;
    keyBias = Math.max(keyBias, ...keyBiasPart(fixture, mean).map(Math.abs));
  }
  const loss = (readState(engine, "sum/loss")[0] ?? 0) / tokens;
  engine.free();
  return { tokens, loss: Math.abs(loss - fixture.loss) / fixture.loss, gradients, keyBias };
}

/** Losses, absolute, and gradient norms, relative, of the fixture's first AdamW steps; absent: of all fifty. */
export async function trainingErrors(
  device: Device,
  fixture: Fixture,
  precision: Precision,
  steps = fixture.training.losses.length,
): Promise<Errors> {
  const model = modelOf(fixture);
  const { learning_rate, betas, eps, weight_decay, grad_clip } = fixture.optimizer;
  const options = { betas, eps, weightDecay: weight_decay, gradClip: grad_clip };
  const micro = { batch: batchOf(fixture), precision, seed: 0, accumulate: false };
  const engine = engineFor(device, precision, {
    micro: buildMicro(model, micro),
    update: buildUpdate(model, options),
  });
  loadWeights(engine, model, fixture);
  const { losses, grad_norms: norms } = fixture.training;
  const errors: Errors = {};
  for (let at = 0; at < steps; at++) {
    await engine.start("micro", hostInputs(fixture, at));
    const update = await engine.start("update", {
      ...{ learning_rate, step: at + 1, norm_limit: LARGEST_F32 },
    });
    const loss = Number(await update.output("loss"));
    const norm = Number(await update.output("grad_norm"));
    errors[`loss ${at}`] = Math.abs(loss - (losses[at] ?? 0));
    errors[`norm ${at}`] = Math.abs(norm / (norms[at] ?? 0) - 1);
  }
  engine.free();
  return errors;
}

/** Name and error of the tensors beyond the bound, for the message. */
export function beyond(errors: Errors, bound: number): Errors {
  return Object.fromEntries(Object.entries(errors).filter(([, error]) => !(error <= bound)));
}
