/** @file Packed rows train as their documents do one by one: loss, token count and every gradient, by the real library. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Batch, newBatch } from "../../src/data/batch.ts";
import { RowSampler } from "../../src/data/samples/packed_rows.ts";
import { StreamHeldOut } from "../../src/data/samples/windows.ts";
import { TokenFolder } from "../../src/data/shards/token_folder.ts";
import { MemoryStore } from "../../src/data/store.ts";
import { Gpt } from "../../src/models/gpt/gpt.ts";
import { optionsOf } from "../../src/models/gpt/options.ts";
import type { LanguageModel } from "../../src/nn/language_model.ts";
import type { Sequence } from "../../src/nn/sequence.ts";
import type { Tensor } from "../../src/nn/tensor.ts";
import { compile } from "../../src/passes/index.ts";
import { type Device, openDevice } from "../../src/runtime/index.ts";
import { Engine } from "../../src/train/engine.ts";
import { buildInit, buildMicro, type MicroOptions } from "../../src/train/programs.ts";
import { targetOf } from "../../src/train/target.ts";
import { documentsOf, writeFolder } from "../data/write_folder.ts";
import { FAMILIES, modelAt } from "../models/family_fixture.ts";
import { LLAMA_STYLE, tinyConfig } from "../nn/models_for_tests.ts";

const root = mkdtempSync(join(tmpdir(), "theseus-packed-"));
afterAll(() => rmSync(root, { recursive: true }));

const LENGTH = 48;
const SIZE = ["n_embd=32", "n_head=4", `block_size=${LENGTH}`, "vocab_size=251"];
const modelOf = (style: readonly string[]): Gpt => {
  const sized = SIZE.filter((s) => style.length === 0 || !s.startsWith("n_head"));
  return new Gpt(optionsOf(tinyConfig(...style, ...sized.map((s) => `architecture.${s}`))));
};

/** Ids that every model here has; every third token is not trained on. */
const documents = documentsOf([30, 12, 9, 47, 2, 20, 33, 3, 18, 25, 49, 7, 14, 40]).map((ids) =>
  ids.map((id, i) => (i % 3 === 1 ? ~(id % 61) : id % 61)),
);
const path = writeFolder(join(root, "rows"), { kind: "rows", train: [documents], masked: true });
const store = TokenFolder.open(path).store("train");

interface Sums {
  readonly loss: number;
  readonly tokens: number;
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

/** The sums of these batches, with the same weights for the same model. */
async function sumsOf(
  device: Device,
  model: LanguageModel,
  batches: readonly Batch[],
  documentsApart: boolean,
): Promise<Sums> {
  const rows = (batches[0]?.tokens.length ?? 0) / LENGTH;
  const batch = { rows, length: LENGTH, documents: documentsApart };
  const micro = (accumulate: boolean): MicroOptions => ({
    ...{ batch, precision: "f32", seed: 1, accumulate },
  });
  const target = targetOf(device);
  const engine = new Engine(
    device,
    new Map([
      ["init", compile(buildInit(model, 7), target)],
      ["micro", compile(buildMicro(model, micro(false)), target)],
      ["micro_add", compile(buildMicro(model, micro(true)), target)],
    ]),
  );
  await engine.start("init");
  const sample = new Uint32Array(rows);
  for (const [i, each] of batches.entries())
    await engine.start(i === 0 ? "micro" : "micro_add", { ...each, sample, step: 0 });
  await engine.finish();
  const loss = new Float32Array(1);
  const tokens = new Int32Array(1);
  engine.state("sum/loss").read(loss);
  engine.state("sum/tokens").read(tokens);
  const gradients = new Map<string, Float32Array>();
  for (const { path: name, count } of model.parameters()) {
    const gradient = new Float32Array(count);
    engine.state(`grad/${name}`).read(gradient);
    gradients.set(name, gradient);
  }
  engine.free();
  return { loss: loss[0] ?? 0, tokens: tokens[0] ?? 0, gradients };
}

const norm = (values: Float32Array): number => Math.sqrt(values.reduce((s, v) => s + v * v, 0));

/** Largest relative difference over the gradients' tensors. */
function difference(a: Sums, b: Sums): number {
  let largest = 0;
  for (const [name, gradient] of a.gradients) {
    const other = b.gradients.get(name) ?? new Float32Array(0);
    const apart = gradient.map((value, i) => value - (other[i] ?? Number.NaN));
    // The key bias has no gradient: its tensor is compared with the projection's whole scale.
    largest = Math.max(largest, norm(apart) / norm(gradient));
  }
  return largest;
}

function packedBatch(separate: boolean): Batch {
  const sampler = new RowSampler(store, { length: LENGTH, seed: 5, source: 0, separate });
  expect(sampler.perEpoch).toBeLessThan(documents.length / 1.5);
  const batch = newBatch(sampler.perEpoch, LENGTH);
  for (let row = 0; row < sampler.perEpoch; row++) sampler.fill(row, batch, row);
  return batch;
}

/** Each document alone in a row. */
const singles: Batch[] = documents.map((ids) => {
  const batch = newBatch(1, LENGTH);
  batch.targets.fill(-1);
  ids.slice(0, -1).forEach((id, i) => {
    const next = ids[i + 1] ?? 0;
    batch.tokens[i] = id < 0 ? ~id : id;
    batch.targets[i] = next < 0 ? -1 : next;
  });
  return batch;
});

const family = (name: string) => () => modelAt(join(FAMILIES, name), LENGTH);
const MODELS: [string, () => LanguageModel][] = [
  ["learned positions", () => modelOf([])],
  ["rotary positions", () => modelOf(LLAMA_STYLE)],
  ["GPT-2", family("gpt2")],
  ["Llama 3", family("llama3")],
  ["GPT-NeoX", family("neox")],
  ["Qwen 3 with windows", family("qwen3_window")],
];

describe.each(MODELS)("%s", (_, declare) => {
  test("packed rows equal their documents one by one", async () => {
    const device = openDevice({ threads: 2 });
    try {
      const model = declare();
      const alone = await sumsOf(device, model, singles, false);
      const packed = await sumsOf(device, model, [packedBatch(true)], true);
      expect(packed.tokens).toBe(alone.tokens);
      expect(Math.abs(packed.loss / alone.loss - 1)).toBeLessThan(1e-6);
      expect(difference(alone, packed)).toBeLessThan(1e-5);
      // The test can tell: without the mask documents see each other.
      const mixed = await sumsOf(device, model, [packedBatch(false)], false);
      expect(mixed.tokens).toBe(alone.tokens);
      expect(difference(alone, mixed)).toBeGreaterThan(1e-3);
    } finally {
      device.close();
    }
  }, 30_000);
});

test("windows of a stream with the document mask on equal the pieces they are made of", async () => {
  const ids = documentsOf([20, 60, 17]).flat();
  const stream = writeFolder(join(root, "stream"), { train: [documentsOf([20, 60, 17])] });
  const windows = new StreamHeldOut(TokenFolder.open(stream).store("train"), LENGTH, true);
  const batch = newBatch(2, LENGTH);
  for (let row = 0; row < 2; row++) windows.fill(row, batch, row);
  // Documents end at 20, 80 and 97; the windows, at 48 and 96, cut the second one.
  const pieces = [
    [0, 20],
    [20, 49],
    [48, 80],
    [80, 97],
  ].map(([from = 0, to = 0]) => {
    const piece = new StreamHeldOut(
      new MemoryStore("a piece", Uint8Array.from(ids.slice(from, to))),
      LENGTH,
      false,
    );
    const row = newBatch(1, LENGTH);
    piece.fill(0, row, 0);
    return row;
  });
  const device = openDevice({ threads: 2 });
  try {
    const model = modelOf([]);
    const alone = await sumsOf(device, model, pieces, false);
    const together = await sumsOf(device, model, [batch], true);
    expect(together.tokens).toBe(alone.tokens);
    expect(Math.abs(together.loss / alone.loss - 1)).toBeLessThan(1e-6);
    expect(difference(alone, together)).toBeLessThan(1e-5);
  } finally {
    device.close();
  }
}, 30_000);

test("a model that does not read the sequence is refused", () => {
  class Deaf extends Gpt {
    override forward(ids: Tensor, _sequence?: Sequence): Tensor {
      return super.forward(ids);
    }
  }
  const model = new Deaf(optionsOf(tinyConfig()));
  const batch = { rows: 1, length: 8, documents: true };
  const build = () => buildMicro(model, { batch, precision: "f32", seed: 1, accumulate: false });
  expect(build).toThrow("does not keep the documents of a row apart");
});
