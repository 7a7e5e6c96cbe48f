/** @file Logits of whatever folder a model is in, and the wide copy of a fixture whose embedding holds all bytes. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { axis } from "../../src/nn/axis.ts";
import type { LanguageModel } from "../../src/nn/language_model.ts";
import { type Precision, Trace } from "../../src/nn/trace.ts";
import { Builder } from "../../src/ops/builder.ts";
import type { Device } from "../../src/runtime/index.ts";
import { readSafetensors } from "../../src/train/checkpoint/safetensors.ts";
import { Engine } from "../../src/train/engine.ts";
import { compileIn } from "../../src/train/precision.ts";
import { buildMicro } from "../../src/train/programs.ts";
import { targetOf } from "../../src/train/target.ts";
import { loadWeights } from "../../src/train/weights.ts";
import { FAMILIES } from "./family_fixture.ts";

export interface Rows {
  readonly rows: number;
  readonly length: number;
  readonly tokens: Int32Array;
}

export async function logitsOf(
  device: Device,
  model: LanguageModel,
  weights: string,
  { rows, length, tokens }: Rows,
  precision: Precision = "f32",
): Promise<Float32Array> {
  const b = new Builder("logits");
  const trace = new Trace(b, precision);
  const ids = trace.input("tokens", [axis("batch", rows), axis("seq", length)], "i32");
  b.output("logits", model.logits(model.forward(ids)).id);
  const program = compileIn(precision, b.finish(), targetOf(device));
  const engine = new Engine(device, new Map([["logits", program]]));
  try {
    loadWeights(engine, model, weights);
    const run = await engine.start("logits", { tokens });
    return (await run.output("logits")) as Float32Array;
  } finally {
    engine.free();
  }
}

/** Gradients of the mean loss by parameter path, of what is trained. */
export async function gradientsOf(
  device: Device,
  model: LanguageModel,
  weights: string,
  batch: Rows & { readonly targets: Int32Array },
  precision: Precision = "f32",
): Promise<ReadonlyMap<string, Float32Array>> {
  const { rows, length, tokens, targets } = batch;
  const options = { precision, seed: 1, accumulate: false };
  const graph = buildMicro(model, { batch: { rows, length }, ...options });
  const program = compileIn(precision, graph, targetOf(device));
  const engine = new Engine(device, new Map([["micro", program]]));
  try {
    loadWeights(engine, model, weights);
    const inputs = { tokens, targets, step: 1, sample: new Uint32Array(rows) };
    await (await engine.start("micro", inputs)).done();
    const count = targets.filter((target) => target !== -1).length;
    const trained = model.parameters().filter(({ trainable }) => trainable);
    return new Map(
      trained.map(({ path }) => {
        const buffer = engine.state(`grad/${path}`);
        const sums = new Float32Array(buffer.bytes / 4);
        buffer.read(sums);
        return [path, sums.map((sum) => sum / count)];
      }),
    );
  } finally {
    engine.free();
  }
}

export function largestDifference(ours: ArrayLike<number>, theirs: ArrayLike<number>): number {
  if (ours.length !== theirs.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  for (let i = 0; i < theirs.length; i++)
    largest = Math.max(largest, Math.abs((ours[i] ?? 0) - (theirs[i] ?? 0)));
  return largest;
}

/** The fixtures have 61 tokens and no tokenizer: bytes need 256. An f32 fixture, copied to `folder` with more rows of zeros. */
export function widenedCopy(name: string, folder: string): void {
  cpSync(join(FAMILIES, name), folder, { recursive: true });
  const path = join(folder, "model.safetensors");
  const bytes = readFileSync(path);
  const wide = readSafetensors(path).tensors.map((tensor) => {
    const data = bytes.subarray(tensor.offset, tensor.offset + tensor.bytes);
    if (tensor.shape[0] !== 61) return { ...tensor, data };
    const [, width = 0] = tensor.shape;
    const rows = Buffer.alloc(256 * width * 4);
    data.copy(rows);
    return { ...tensor, shape: [256, width], data: rows };
  });
  let offset = 0;
  const header = Object.fromEntries(
    wide.map(({ name: key, dtype, shape, data }) => {
      const range = [offset, offset + data.length];
      offset += data.length;
      return [key, { dtype, shape, data_offsets: range }];
    }),
  );
  const json = Buffer.from(JSON.stringify(header));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(json.length));
  writeFileSync(path, Buffer.concat([size, json, ...wide.map(({ data }) => data)]));
  const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...config, vocab_size: 256 }));
}
