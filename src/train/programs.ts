/**
 * @file The programs of a training job as graphs. They share state by name: `param/*`, `grad/*`, `adam_m/*`, `adam_v/*`, and
 * `sum/*`, what the micro-batches of one step add up to.
 */
import { grad } from "../autodiff/grad.ts";
import type { Graph, Id } from "../ir/graph.ts";
import { axis } from "../nn/axis.ts";
import { emitInit } from "../nn/init.ts";
import type { LanguageModel } from "../nn/language_model.ts";
import type { Param } from "../nn/param.ts";
import type { Sequence } from "../nn/sequence.ts";
import { Tensor } from "../nn/tensor.ts";
import type { TokenLoss } from "../nn/token_loss.ts";
import { type Precision, Trace } from "../nn/trace.ts";
import { Builder } from "../ops/builder.ts";
import { add } from "../ops/prim/add.ts";
import { cast } from "../ops/prim/cast.ts";
import { constant } from "../ops/prim/const.ts";
import { div } from "../ops/prim/div.ts";
import { dynamicSlice } from "../ops/prim/dynamic_slice.ts";
import { input } from "../ops/prim/input.ts";
import { max } from "../ops/prim/max.ts";
import { reshape } from "../ops/prim/reshape.ts";
import { type AdamwOptions, adamwUpdate, type Slot } from "../optim/adamw_update.ts";
import type { DType } from "../util/dtype.ts";
import { ConfigError } from "../util/errors.ts";
import type { Shape } from "../util/shapes.ts";

export interface BatchShape {
  readonly rows: number;
  readonly length: number;
  /** Rows hold several documents that know nothing of each other: the host says where they lie. Absent: no. */
  readonly documents?: boolean;
}

const shapeOf = (param: Param): number[] => param.axes.map((a) => a.size);

const state = (b: Builder, name: string, shape: Shape, dtype: DType): Id =>
  input(b, { name, kind: "state", shape, dtype });

const hostInput = (b: Builder, name: string, shape: Shape, dtype: DType): Id =>
  input(b, { name, kind: "input", shape, dtype });

/** The loss of a batch that the host gives. */
function batchLoss(model: LanguageModel, trace: Trace, batch: BatchShape): TokenLoss {
  const axes = [axis("batch", batch.rows), axis("seq", batch.length)];
  const given = (name: string, dtype: DType) => trace.input(name, axes, dtype);
  const ids = given("tokens", "i32");
  const targets = given("targets", "i32");
  if (batch.documents !== true) return model.loss(ids, targets);
  const [positions, documents] = [given("positions", "i32"), given("documents", "u32")];
  const { sequence, read } = watched(positions, documents);
  const loss = model.loss(ids, targets, sequence);
  if (!read.documents || !read.positions)
    throw new ConfigError(
      "this model does not keep the documents of a row apart: its layers do not read the sequence they are given",
      {
        place: { key: "data.document_mask" },
        hint: "data.document_mask: false trains across documents",
      },
    );
  return loss;
}

/** A sequence that notes what was read of it. */
function watched(positions: Tensor, documents: Tensor) {
  const read = { positions: false, documents: false };
  const sequence: Sequence = {
    get positions() {
      read.positions = true;
      return positions;
    },
    get documents() {
      read.documents = true;
      return documents;
    },
  };
  return { sequence, read };
}

const trainable = (model: LanguageModel): Param[] =>
  model.parameters().filter((param) => param.trainable);

/** Writes the initial parameters; frozen ones are loaded instead. The optimizer's averages start as the zeros that fresh buffers hold. */
export function buildInit(model: LanguageModel, seed: number): Graph {
  const b = new Builder("init");
  for (const param of trainable(model)) {
    const shape = shapeOf(param);
    b.as({ scope: param.path, phase: "forward" }, () => {
      const name = `param/${param.path}`;
      state(b, name, shape, "f32");
      b.output(name, emitInit(b, param.init, shape, seed, param.path), name);
    });
  }
  return b.finish();
}

export interface MicroOptions {
  readonly batch: BatchShape;
  readonly precision: Precision;
  /** Of dropout's random numbers. */
  readonly seed: number;
  /** False: the first micro-batch of a step, which overwrites the sums; true: adds to them. */
  readonly accumulate: boolean;
}

/** Forward and backward of one micro-batch with cotangent 1: gradients, loss and token count are sums over tokens. */
export function buildMicro(model: LanguageModel, options: MicroOptions): Graph {
  const { batch, seed, accumulate } = options;
  const b = new Builder(accumulate ? "micro_add" : "micro");
  const step = hostInput(b, "step", [], "u32");
  const sample = hostInput(b, "sample", [batch.rows], "u32");
  const trace = new Trace(b, options.precision, { seed, step, sample });
  const loss = batchLoss(model, trace, batch);
  const params = trainable(model);
  const grads = grad(
    b,
    loss.sum,
    params.map((param) => trace.param(param).id),
  );
  const total = (name: string, value: Id): void => {
    const { shape, dtype } = b.type(value);
    const sum = state(b, name, shape, dtype);
    b.output(name, accumulate ? add(b, sum, value) : value, name);
  };
  b.phase = "backward";
  params.forEach((param, i) => {
    const value = grads[i];
    if (value === undefined) throw new Error(`internal: no gradient for ${param.path}`);
    b.as({ scope: param.path, phase: "backward" }, () => total(`grad/${param.path}`, value));
  });
  total("sum/loss", loss.sum);
  total("sum/tokens", loss.count);
  return b.finish();
}

/** Means from the sums, clipping, AdamW; the host reads `loss`, `grad_norm`, `tokens` and `applied`. */
export function buildUpdate(model: LanguageModel, options: AdamwOptions): Graph {
  const b = new Builder("update");
  b.phase = "update";
  const slots = trainable(model).map((param): Slot => {
    const shape = shapeOf(param);
    const read = (kind: string) => state(b, `${kind}/${param.path}`, shape, "f32");
    const { path, isMatrix } = param;
    const [value, m, v] = [read("param"), read("adam_m"), read("adam_v")];
    return { path, shape, decays: isMatrix, param: value, m, v, grad: read("grad") };
  });
  const count = state(b, "sum/tokens", [], "i32");
  const tokens = cast(b, count, "f32");
  const learningRate = hostInput(b, "learning_rate", [], "f32");
  const step = hostInput(b, "step", [], "f32");
  const loss = state(b, "sum/loss", [], "f32");
  // Host values are finite, so that a norm which is not finite is never within the limit.
  const normLimit = hostInput(b, "norm_limit", [], "f32");
  const inputs = { learningRate, step, tokens, loss, normLimit };
  const result = adamwUpdate(b, options, inputs, slots);
  slots.forEach(({ path }, i) => {
    const next = result.slots[i];
    if (next === undefined) return;
    b.output(`param/${path}`, next.param, `param/${path}`);
    b.output(`adam_m/${path}`, next.m, `adam_m/${path}`);
    b.output(`adam_v/${path}`, next.v, `adam_v/${path}`);
  });
  b.output("loss", div(b, loss, max(b, tokens, constant(b, 1, [], "f32"))));
  b.output("grad_norm", result.gradNorm);
  b.output("applied", result.applied);
  b.output("tokens", cast(b, tokens, "i32"));
  return b.finish();
}

/** Loss of one batch without gradients: the host reads `loss_sum` and `tokens`. */
export function buildEval(model: LanguageModel, batch: BatchShape, precision: Precision): Graph {
  const b = new Builder("eval");
  const trace = new Trace(b, precision);
  const loss = batchLoss(model, trace, batch);
  b.output("loss_sum", loss.sum);
  b.output("tokens", loss.count);
  return b.finish();
}

/** Logits f32 [vocab] after position `starts[1]` of one row; what follows that position does not matter. */
export function buildLogits(model: LanguageModel, precision: Precision): Graph {
  const b = new Builder("logits");
  const trace = new Trace(b, precision);
  const axes = [axis("batch", 1), axis("seq", model.blockSize)];
  const hidden = model.forward(trace.input("tokens", axes, "i32"));
  const starts = hostInput(b, "starts", [3], "i32");
  const width = hidden.axes[2]?.size ?? 1;
  const last = dynamicSlice(b, hidden.id, starts, [1, 1, width]);
  const one = new Tensor(trace, last, [axis("batch", 1), axis("seq", 1), axis("n_embd", width)]);
  b.output("logits", reshape(b, model.logits(one).id, [model.vocabSize]));
  return b.finish();
}
