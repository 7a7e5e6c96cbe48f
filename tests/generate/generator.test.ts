/** @file Many answers at once: each as if it were alone, rows handed on, caches used again, ends, limits and failures. */
import { afterAll, describe, expect, test } from "bun:test";
import { bytesTokenizer } from "../../src/data/bytes_tokenizer.ts";
import type { Decoder } from "../../src/generate/decoder.ts";
import { type GenerationRequest, Generator } from "../../src/generate/generator.ts";
import { generateText, promptTokens } from "../../src/generate/text_generation.ts";
import { openDevice } from "../../src/runtime/index.ts";
import { tinyGpt } from "../nn/models_for_tests.ts";
import { decoderFor, someTokens } from "./models_for_tests.ts";

const PLACES = 40;
const VOCAB = 256;
const model = tinyGpt(
  ...["architecture.n_embd=32", "architecture.vocab_size=256"],
  `architecture.block_size=${PLACES}`,
);
const device = openDevice({ threads: 2 });
afterAll(() => device.close());
const made: Decoder[] = [];
const generatorOf = (rows: number): Generator => {
  const decoder = decoderFor(device, model, { rows, places: PLACES, precision: "f32" });
  made.push(decoder);
  return new Generator(decoder);
};
const alone = generatorOf(1);
const four = generatorOf(4);

const greedy = { temperature: 0, topK: 0, seed: 0 };
const request = (prompt: number[], more: Partial<GenerationRequest> = {}): GenerationRequest => ({
  ...{ prompt, maxTokens: 8, sampling: { temperature: 1, topK: 40, seed: 5 }, ...more },
});

test("ten requests on four rows: each answer as if it were alone", async () => {
  const requests = Array.from({ length: 10 }, (_, i) =>
    request(someTokens(1 + ((i * 7) % 30), VOCAB, i), { maxTokens: 3 + i, answer: i % 3 }),
  );
  const together = await Promise.all(requests.map((each) => four.generate(each)));
  for (const [i, each] of requests.entries())
    expect((await alone.generate(each)).tokens).toEqual(together[i]?.tokens ?? []);
  expect(together.map(({ reason }) => reason)).toEqual(requests.map(() => "length"));
  expect(four.load).toEqual({ active: 0, waiting: 0 });
});

test("a prompt that begins as an earlier one starts behind what the cache holds", async () => {
  const fresh = generatorOf(2);
  const first = await fresh.generate(request(someTokens(12, VOCAB, 90)));
  expect(first.cachedTokens).toBe(0);
  const longer = [...someTokens(12, VOCAB, 90), ...first.tokens, 1, 2, 3];
  const second = await fresh.generate(request(longer));
  // The last token of an answer was never run.
  expect(second.cachedTokens).toBe(12 + first.tokens.length - 1);
  expect(second.tokens).toEqual((await generatorOf(1).generate(request(longer))).tokens);
  const same = await fresh.generate(request(longer));
  expect(same.cachedTokens).toBe(longer.length - 1);
  expect(same.tokens).toEqual(second.tokens);
});

describe("an answer ends", () => {
  test("at a stop token, which does not belong to it", async () => {
    const prompt = someTokens(5, VOCAB);
    const { tokens } = await alone.generate(request(prompt, { sampling: greedy }));
    const stop = tokens[3] ?? 0;
    const first = tokens.indexOf(stop);
    const more = { sampling: greedy, stopIds: new Set([stop]) };
    const result = await alone.generate(request(prompt, more));
    expect(result).toMatchObject({ tokens: tokens.slice(0, first), reason: "stop" });
  });

  test("where the context is full", async () => {
    const result = await alone.generate(request(someTokens(35, VOCAB), { maxTokens: null }));
    // The last token needs no place.
    expect(result).toMatchObject({ reason: "length" });
    expect(result.tokens.length).toBe(PLACES - 35 + 1);
  });

  test("or goes on there, with the younger half of it", async () => {
    const more = { maxTokens: 90, whenFull: "forget" } as const;
    const result = await alone.generate(request(someTokens(35, VOCAB), more));
    expect(result).toMatchObject({ reason: "length" });
    expect(result.tokens.length).toBe(90);
  });

  test("when it is cancelled, in the making or waiting", async () => {
    const stop = new AbortController();
    let seen = 0;
    const onToken = () => {
      if (++seen === 3) stop.abort();
      return false;
    };
    const more = { maxTokens: null, signal: stop.signal };
    const running = alone.generate(request([1], { ...more, onToken }));
    const waiting = alone.generate(request([2], more));
    expect(await running).toMatchObject({ reason: "cancelled" });
    expect((await waiting).tokens).toEqual([]);
    expect(seen).toBe(3);
    // A request that is cancelled before anything runs leaves the next one alone.
    const gone = await alone.generate(request([2], more));
    expect(gone.reason).toBe("cancelled");
    expect((await alone.generate(request([3]))).tokens.length).toBe(8);
  });
});

test("what cannot be served is refused with the reason", () => {
  const refused = (prompt: number[], more: Partial<GenerationRequest> = {}) =>
    expect(() => alone.generate(request(prompt, more)));
  refused([]).toThrow("the prompt has no tokens");
  refused(someTokens(PLACES, VOCAB)).toThrow(
    "the prompt has 40 tokens, and the context with its answer holds 40",
  );
  refused([1, 256]).toThrow("token 256 of the prompt is outside the vocabulary of 256");
  refused([1], { maxTokens: 0 }).toThrow("max tokens >= 1, got 0");
  refused([1], { sampling: { ...greedy, topP: 0 } }).toThrow("top_p: expected a number in (0, 1]");
  refused([1], { sampling: { ...greedy, temperature: Number.NaN } }).toThrow("temperature");
});

test("logits that are no numbers fail their own request only, and the next one on its row is sound", async () => {
  const poisoned = generatorOf(1);
  const decoder = made.at(-1);
  const table = decoder?.engine.state("param/wte.weight");
  const row = new Float32Array(32);
  table?.read(row, 7 * 32 * 4);
  const nan = new Float32Array(32).fill(Number.NaN);
  // Token 7 alone; the head is tied, so that its own logit is NaN for everybody: it is not drawn from.
  const few = new Generator(decoder as Decoder, 7);
  const expected = await few.generate(request([1, 2, 3]));
  table?.write(nan, 7 * 32 * 4);
  await expect(few.generate(request([1, 7, 3]))).rejects.toThrow("not finite");
  expect((await few.generate(request([1, 2, 3]))).tokens).toEqual([...expected.tokens]);
  expect(poisoned.load.active).toBe(0);
});

test("text is cut at stop strings and streams without them", async () => {
  const prompt = promptTokens(bytesTokenizer, "ab");
  const options = { prompt, maxTokens: 30, sampling: { temperature: 1, topK: 0, seed: 9 } };
  const whole = await generateText(alone, bytesTokenizer, options);
  expect(whole.tokens.length).toBe(30);
  const stop = whole.text.slice(10, 13);
  const pieces: string[] = [];
  const cut = await generateText(alone, bytesTokenizer, {
    ...{ ...options, stop: [stop], onText: (piece) => pieces.push(piece) },
  });
  expect(cut.reason).toBe("stop");
  expect(cut.text).toBe(whole.text.slice(0, whole.text.indexOf(stop)));
  expect(pieces.join("")).toBe(cut.text);
  expect(promptTokens(bytesTokenizer, "")).toEqual([10]);
});
