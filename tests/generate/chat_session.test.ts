/** @file Conversations that go on: what the model is shown, caches used again, ends of turns, and a full context. */
import { afterAll, expect, test } from "bun:test";
import { bytesTokenizer } from "../../src/data/bytes_tokenizer.ts";
import { templateFor } from "../../src/data/chat/template_for.ts";
import type { Tokenizer } from "../../src/data/tokenizer.ts";
import { turnEnd } from "../../src/generate/chat_prompt.ts";
import { ChatSession } from "../../src/generate/chat_session.ts";
import { Generator } from "../../src/generate/generator.ts";
import { openDevice } from "../../src/runtime/index.ts";
import { tinyGpt } from "../nn/models_for_tests.ts";
import { decoderFor } from "./models_for_tests.ts";

const device = openDevice({ threads: 2 });
afterAll(() => device.close());
const model = tinyGpt(
  ...["architecture.n_embd=32", "architecture.vocab_size=256", "architecture.block_size=128"],
);
const decoder = decoderFor(device, model, { rows: 1, places: 128, precision: "f32" });
const template = templateFor("plain", bytesTokenizer);
const chat = (system = "") => {
  const generator = new Generator(decoder);
  const parts = { tokenizer: bytesTokenizer, generator, stopIds: new Set<number>(), template };
  return new ChatSession(parts, system);
};
const sampling = { temperature: 1, topK: 0, seed: 4 };
const short = { maxTokens: 10, sampling };

test("a turn ends where the template ends it: by a token of its own, or by the next turn's beginning", () => {
  expect(turnEnd(template, bytesTokenizer)).toEqual({ ids: [], texts: ["\n\nUser:"] });
  expect(turnEnd(templateFor("raw", bytesTokenizer), bytesTokenizer)).toEqual({
    ...{ ids: [], texts: [] },
  });
  // A tokenizer with the marker as one token.
  const END = "<|im_end|>";
  const marked: Tokenizer = {
    ...bytesTokenizer,
    vocabSize: 257,
    encode: (text) => (String(text).startsWith(END) ? Uint16Array.of(256) : Uint8Array.of(0)),
    decode: (ids, options) =>
      [...ids].map((id) => (id === 256 && options?.skipSpecial ? "" : "x")).join(""),
  };
  expect(turnEnd(templateFor("chatml", marked), marked)).toEqual({ ids: [256], texts: [] });
});

test("the next turn starts behind what the cache holds", async () => {
  const session = chat("Be short.");
  const first = await session.say("Hello", short);
  expect(first).toMatchObject({ forgotten: 0, cachedTokens: 0 });
  const second = await session.say("Again", short);
  // At least the first prompt, and the answer as far as trimming left it alike.
  expect(second.cachedTokens).toBeGreaterThan(30);
  session.reset("");
  expect(session.system).toBe("");
  expect((await session.say("Hello", short)).cachedTokens).toBeLessThan(5);
});

test("where the context is full the oldest turns are forgotten, and one message too long is an error", async () => {
  const session = chat();
  let forgotten = 0;
  for (let turn = 0; turn < 8; turn++)
    forgotten += (await session.say(`message number ${turn}`, short)).forgotten;
  expect(forgotten).toBeGreaterThan(0);
  await expect(session.say("x".repeat(130), short)).rejects.toThrow(
    "the context with its answer holds 128",
  );
  expect((await session.say("still there", short)).text.length).toBeGreaterThan(0);
});

test("a cancelled answer stays as far as it came", async () => {
  const session = chat();
  const stop = new AbortController();
  let said = "";
  const onText = (text: string) => {
    said += text;
    if (said.length > 3) stop.abort();
  };
  const more = { maxTokens: null, sampling, signal: stop.signal, onText };
  const answer = await session.say("Hello", more);
  expect(answer.reason).toBe("cancelled");
  expect(answer.text).toBe(said);
  expect((await session.say("Again", short)).cachedTokens).toBeGreaterThan(20);
});
