/**
 * @file Decoding with a cache: against the whole window without one, padding on either side, and ragged batches against
 * single runs to the bit, at every level of the machine.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { Decoder } from "../../src/generate/decoder.ts";
import { buildGeneration, generationName } from "../../src/generate/programs.ts";
import type { Gpt } from "../../src/models/gpt/gpt.ts";
import { compile } from "../../src/passes/index.ts";
import { openDevice } from "../../src/runtime/index.ts";
import { Engine } from "../../src/train/engine.ts";
import { targetOf } from "../../src/train/target.ts";
import { LLAMA_STYLE, tinyGpt } from "../nn/models_for_tests.ts";
import {
  argmax,
  decoderFor,
  fillWeights,
  fullLogits,
  relativeError,
  someTokens,
  usableLevels,
} from "./models_for_tests.ts";

const VOCAB = 61;
const PLACES = 48;
const SIZES = [
  "architecture.n_embd=32",
  `architecture.block_size=${PLACES}`,
  `architecture.vocab_size=${VOCAB}`,
];
const MODELS: Record<string, Gpt> = {
  gpt2: tinyGpt(...SIZES),
  llama: tinyGpt(...SIZES, ...LLAMA_STYLE),
};
/** Largest relative error of a row of logits beside the run without a cache. */
const BOUNDS: Record<"f32" | "mixed", number> = { f32: 1e-5, mixed: 3e-2 };

const cases = usableLevels().flatMap((level) =>
  Object.entries(MODELS).flatMap(([name, model]) =>
    (["f32", "mixed"] as const).map((precision) => [level, name, precision, model] as const),
  ),
);

describe.each(cases)("%s %s %s", (level, _, precision, model) => {
  const device = openDevice({ level, threads: 2 });
  afterAll(() => device.close());
  const options = { places: PLACES, precision };

  test.each([
    ["a prompt of 20, then token by token", 20],
    ["token by token from the start", 1],
  ])("%s: as the whole window", async (_, prompt) => {
    const tokens = someTokens(PLACES, VOCAB);
    const full = await fullLogits(device, model, tokens, precision);
    const decoder = decoderFor(device, model, { rows: 1, ...options });
    for (let start = 0, count = prompt; start < PLACES; start += count, count = 1) {
      const piece = { row: 0, start, tokens: tokens.slice(start, start + count) };
      const [logits = new Float32Array(0)] = await decoder.run([piece]);
      const expected = full[start + count - 1] ?? logits;
      expect(relativeError(logits, expected)).toBeLessThan(BOUNDS[precision]);
      if (precision === "f32") expect(argmax(logits)).toBe(argmax(expected));
    }
    decoder.free();
  });

  test("a ragged batch of 8 equals 8 single runs to the bit, whatever the pieces", async () => {
    const prompts = [3, 16, 1, 9, 30, 12, 2, 7].map((n, i) => someTokens(n, VOCAB, i));
    const batched = decoderFor(device, model, { rows: 8, ...options });
    const alone = decoderFor(device, model, { rows: 1, ...options });
    const starts = [0, 0, 0, 0, 14, 0, 0, 0];
    await batched.run([{ row: 4, start: 0, tokens: prompts[4]?.slice(0, 14) ?? [] }]);
    let together = await batched.run(
      prompts.map((tokens, row) => ({
        row,
        start: starts[row] ?? 0,
        tokens: tokens.slice(starts[row]),
      })),
    );
    const sequences = prompts.map((tokens) => [...tokens]);
    const results: Float32Array[][] = prompts.map(() => []);
    for (let step = 0; step < 8; step++) {
      together.forEach((logits, row) => {
        results[row]?.push(logits);
        sequences[row]?.push(argmax(logits));
      });
      const next = sequences.map((all, row) => ({
        row,
        start: all.length - 1,
        tokens: all.slice(-1),
      }));
      together = await batched.run(next);
    }
    for (const [row, prompt] of prompts.entries()) {
      let tokens = prompt;
      let start = 0;
      for (const expected of results[row] ?? []) {
        const [logits = new Float32Array(0)] = await alone.run([{ row: 0, start, tokens }]);
        expect(logits).toEqual(expected);
        start += tokens.length;
        tokens = [argmax(logits)];
      }
    }
    batched.free();
    alone.free();
  });

  test("padding before, after and between the tokens changes no bit", async () => {
    const batch = { rows: 3, length: 12 };
    const size = { rows: 3, places: PLACES };
    const graph = buildGeneration(model, size, batch, precision);
    const program = compile(graph, targetOf(device));
    const engine = new Engine(device, new Map([[generationName(batch), program]]));
    fillWeights(engine, model);
    const prompt = someTokens(7, VOCAB);
    const places = [
      [0, 1, 2, 3, 4, 5, 6, -1, -1, -1, -1, -1],
      [-1, -1, -1, -1, -1, 0, 1, 2, 3, 4, 5, 6],
      [0, -1, 1, 2, -1, -1, 3, 4, -1, 5, 6, -1],
    ];
    const slots = places.flat();
    const tokens = slots.map((slot) => (slot === -1 ? 60 : (prompt[slot] ?? 0)));
    const last = places.map((row, i) => i * batch.length + row.indexOf(6));
    const run = await engine.start(generationName(batch), {
      tokens: Int32Array.from(tokens),
      slots: Int32Array.from(slots),
      rows: Int32Array.of(2, 0, 1),
      last: Int32Array.from(last),
    });
    const logits = (await run.output("logits")) as Float32Array;
    const [right, left, between] = [0, 1, 2].map((i) => logits.slice(i * VOCAB, (i + 1) * VOCAB));
    expect(left ?? logits).toEqual(right ?? logits);
    expect(between ?? logits).toEqual(right ?? logits);
    engine.free();
  });
});

test("the cache is written in place: a step moves no more than its tokens", () => {
  const [model] = Object.values(MODELS);
  if (model === undefined) throw new Error("no model");
  const graph = buildGeneration(model, { rows: 4, places: PLACES }, { rows: 1, length: 1 }, "f32");
  const { program } = compile(graph, { kind: "cpu", level: "v3", threads: 1 });
  const copies = program.instructions.filter(({ opcode }) => opcode === "copy");
  expect(program.instructions.length).toBeGreaterThan(10);
  expect(copies).toEqual([]);
});

test("a slot beyond the cache fails with the module's name", async () => {
  const [model] = Object.values(MODELS);
  if (model === undefined) throw new Error("no model");
  const device = openDevice({ threads: 2, guarded: true });
  const batch = { rows: 1, length: 1 };
  const graph = buildGeneration(model, { rows: 2, places: 8 }, batch, "f32");
  const engine = new Engine(device, new Map([["decode_1", compile(graph, targetOf(device))]]));
  const at = (row: number, slot: number) => ({
    ...{ tokens: Int32Array.of(1), slots: Int32Array.of(slot), rows: Int32Array.of(row) },
  });
  await (await engine.start("decode_1", at(1, 7))).done();
  await expect((await engine.start("decode_1", at(0, 8))).done()).rejects.toThrow("blocks.0.attn");
  device.close();
});

test("a plan uses the places of a program well: long prompts alone, several together", () => {
  const device = openDevice({ threads: 1 });
  const model = tinyGpt("architecture.block_size=400");
  const decoder = new Decoder(device, model, { rows: 8, places: 400, precision: "f32" });
  expect(decoder.plan([300])).toEqual({ rows: 1, tokens: 128 });
  expect(decoder.plan([60])).toEqual({ rows: 1, tokens: 60 });
  expect(decoder.plan([9])).toEqual({ rows: 1, tokens: 9 });
  expect(decoder.plan([9, 3, 12, 7, 16])).toEqual({ rows: 5, tokens: 16 });
  expect(decoder.plan(Array.from({ length: 12 }, () => 64))).toEqual({ rows: 8, tokens: 16 });
  expect(decoder.plan([300, 2])).toEqual({ rows: 1, tokens: 128 });
  device.close();
});
