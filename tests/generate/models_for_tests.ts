/** @file Models with weights that make a difference: logits that are far apart, and nothing that is almost zero. */
import { Decoder, type DecoderOptions } from "../../src/generate/decoder.ts";
import { axis } from "../../src/nn/axis.ts";
import type { LanguageModel } from "../../src/nn/language_model.ts";
import { type Precision, Trace } from "../../src/nn/trace.ts";
import { Builder } from "../../src/ops/builder.ts";
import { compile } from "../../src/passes/index.ts";
import { type Device, LEVELS, libraryInfo } from "../../src/runtime/index.ts";
import { Engine } from "../../src/train/engine.ts";
import { targetOf } from "../../src/train/target.ts";
import { writeParam } from "../../src/train/weights.ts";
import { normalSource } from "../ops/values.ts";

/** Every level that the library was built for and this CPU has. */
export function usableLevels() {
  const { cpu_level, levels } = libraryInfo();
  return levels.filter(
    (level) => cpu_level !== "none" && LEVELS.indexOf(level) <= LEVELS.indexOf(cpu_level),
  );
}

/** Matrices keep the size of what they multiply, vectors are about 1. The same values for a model of the same parameters. */
export function fillWeights(engine: Engine, model: LanguageModel): void {
  for (const { path, axes, count, isMatrix } of model.parameters()) {
    const draw = normalSource(path);
    const fan = axes[0]?.size ?? 1;
    const embeds = path.startsWith("wte") || path.startsWith("wpe");
    const std = embeds ? 1 : 1.5 / Math.sqrt(fan);
    const next = () => (isMatrix ? std * draw() : 1 + 0.1 * draw());
    writeParam(engine, path, Float32Array.from({ length: count }, next));
  }
}

export function decoderFor(device: Device, model: LanguageModel, options: DecoderOptions): Decoder {
  const decoder = new Decoder(device, model, options);
  fillWeights(decoder.engine, model);
  return decoder;
}

/** Logits after every token of one sequence, computed at once and without a cache. */
export async function fullLogits(
  device: Device,
  model: LanguageModel,
  tokens: readonly number[],
  precision: Precision,
): Promise<Float32Array[]> {
  const b = new Builder("logits");
  const trace = new Trace(b, precision);
  const axes = [axis("batch", 1), axis("seq", tokens.length)];
  const hidden = model.forward(trace.input("tokens", axes, "i32"));
  b.output("logits", model.logits(hidden).id);
  const engine = new Engine(device, new Map([["logits", compile(b.finish(), targetOf(device))]]));
  fillWeights(engine, model);
  const run = await engine.start("logits", { tokens: Int32Array.from(tokens) });
  const all = (await run.output("logits")) as Float32Array;
  engine.free();
  return tokens.map((_, i) => all.slice(i * model.vocabSize, (i + 1) * model.vocabSize));
}

/** Tokens that no pattern repeats. */
export const someTokens = (count: number, vocab: number, seed = 0): number[] =>
  Array.from({ length: count }, (_, i) => (i * i * 7 + i * 3 + seed * 5 + 1) % vocab);

export const argmax = (values: Float32Array): number =>
  values.reduce((best, value, i) => (value > (values[best] ?? 0) ? i : best), 0);

export function relativeError(got: Float32Array, expected: Float32Array): number {
  const norm = (x: Float32Array) => Math.hypot(...x);
  return norm(got.map((x, i) => x - (expected[i] ?? 0))) / norm(expected);
}
