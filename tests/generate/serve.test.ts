/** @file The HTTP server, asked by OpenAI's own client as it comes: answers, streams, limits, errors, and 32 clients at once. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import OpenAI from "openai";
import { bytesTokenizer } from "../../src/data/bytes_tokenizer.ts";
import { templateFor } from "../../src/data/chat/template_for.ts";
import { Generator } from "../../src/generate/generator.ts";
import { TextServer } from "../../src/generate/serve/server.ts";
import { openDevice } from "../../src/runtime/index.ts";
import { tinyGpt } from "../nn/models_for_tests.ts";
import { THOROUGH } from "../train/child_runs.ts";
import { decoderFor } from "./models_for_tests.ts";

setDefaultTimeout(THOROUGH ? 300_000 : 60_000);

const device = openDevice({ threads: 2 });
const model = tinyGpt(
  ...["architecture.n_embd=32", "architecture.vocab_size=256", "architecture.block_size=256"],
);
const decoder = decoderFor(device, model, { rows: 8, places: 256, precision: "f32" });
const generator = new Generator(decoder);
const served = { tokenizer: bytesTokenizer, generator, stopIds: new Set<number>() };
const faults: unknown[] = [];
const options = {
  ...{ model: served, name: "tiny", hostname: "127.0.0.1", port: 0, waitingMax: 100 },
  ...{ template: templateFor("plain", bytesTokenizer), token: null },
  onFault: (error: unknown) => faults.push(error),
};
const server = new TextServer(options);
const guarded = new TextServer({ ...options, token: "secret" });
afterAll(async () => {
  await server.close(1000);
  await guarded.close(1000);
  device.close();
  expect(faults).toEqual([]);
});

const clientOf = ({ url }: TextServer, apiKey = "none") =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
const client = clientOf(server);
const ask = { model: "tiny", max_tokens: 12, seed: 7 } as const;

describe("OpenAI's client", () => {
  test("lists the model", async () => {
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual(["tiny"]);
    expect(await client.models.retrieve("tiny")).toMatchObject({ id: "tiny", object: "model" });
  });

  test("completes, whole and as a stream, to the same text", async () => {
    const whole = await client.completions.create({ ...ask, prompt: "abc" });
    expect(whole).toMatchObject({ object: "text_completion", model: "tiny" });
    expect(whole.choices[0]).toMatchObject({ index: 0, finish_reason: "length" });
    expect(whole.usage).toMatchObject({
      ...{ prompt_tokens: 3, completion_tokens: 12, total_tokens: 15 },
    });
    const usage = { include_usage: true };
    const request = { ...ask, prompt: "abc", stream: true, stream_options: usage } as const;
    let text = "";
    let last: unknown;
    let reason: unknown;
    for await (const chunk of await client.completions.create(request)) {
      text += chunk.choices[0]?.text ?? "";
      reason = chunk.choices[0]?.finish_reason ?? reason;
      last = chunk.usage;
    }
    expect(text).toBe(whole.choices[0]?.text ?? "");
    expect(reason).toBe("length");
    expect(last).toMatchObject({ prompt_tokens: 3, completion_tokens: 12 });
  });

  test("several prompts and answers, echoed; ids as prompts; none depends on the others", async () => {
    const many = await client.completions.create({
      ...{ ...ask, prompt: ["abc", "x"], n: 2, echo: true },
    });
    const texts = many.choices.map(({ text }) => text);
    expect(many.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    expect(texts.map((text) => text[0])).toEqual(["a", "a", "x", "x"]);
    expect(texts[0]).not.toBe(texts[1]);
    const alone = await client.completions.create({ ...ask, prompt: [97, 98, 99] });
    expect(`abc${alone.choices[0]?.text}`).toBe(texts[0] ?? "");
    expect(many.usage).toMatchObject({ prompt_tokens: 4, completion_tokens: 48 });
  });

  test("chats, whole and as a stream", async () => {
    const messages = [
      { role: "system", content: "Be short." } as const,
      { role: "user", content: "Hello" } as const,
    ];
    const whole = await client.chat.completions.create({ ...ask, messages });
    expect(whole).toMatchObject({ object: "chat.completion", choices: [{ index: 0 }] });
    const { message } = whole.choices[0] ?? {};
    expect(message?.role).toBe("assistant");
    const stream = client.chat.completions.stream({ ...ask, messages });
    const final = await stream.finalChatCompletion();
    expect(final.choices[0]?.message.content).toBe(message?.content ?? "");
    // "System: Be short.\n\nUser: Hello\n\nAssistant:" as bytes.
    expect(whole.usage?.prompt_tokens).toBe(42);
  });

  test("a stop string ends the answer, also in a stream", async () => {
    const request = { ...ask, prompt: "abc", max_tokens: 60 };
    const { choices } = await client.completions.create(request);
    const text = choices[0]?.text ?? "";
    const stop = text.slice(20, 23);
    const cut = await client.completions.create({ ...request, stop });
    expect(cut.choices[0]).toMatchObject({
      ...{ text: text.slice(0, text.indexOf(stop)), finish_reason: "stop" },
    });
  });
});

async function refusal(run: () => Promise<unknown>) {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error;
    const { status, code, param, message } = error;
    return { status, code, param, message };
  }
  throw new Error("nothing was refused");
}

describe("refusals in OpenAI's shape", () => {
  const complete = (more: object) => () =>
    client.completions.create({ ...ask, prompt: "a", ...more } as OpenAI.CompletionCreateParams);

  test.each([
    ["an unknown model", { model: "gpt-4" }, 404, "model_not_found", "model"],
    ["a long prompt", { prompt: "x".repeat(256) }, 400, "context_length_exceeded", null],
    ["a strange argument", { temprature: 1 }, 400, null, "temprature"],
    ["what is not supported", { logprobs: 3 }, 400, null, "logprobs"],
    ["a temperature below 0", { temperature: -1 }, 400, null, "temperature"],
    ["a text for a number", { max_tokens: "9" }, 400, null, "max_tokens"],
    ["an empty stop string", { stop: ["a", ""] }, 400, null, "stop"],
    ["a prompt of nothing known", { prompt: [1.5] }, 400, null, "prompt"],
    ["too many answers", { n: 1000 }, 400, null, "n"],
    ["a token outside the vocabulary", { prompt: [256] }, 400, null, null],
    ["a long prompt to stream", { prompt: "x".repeat(300), stream: true }, 400, null, undefined],
  ])("%s", async (_, more, status, code, param) => {
    const got = await refusal(complete(more));
    expect(got.status).toBe(status);
    if (code !== null) expect(got.code).toBe(code);
    if (param !== undefined) expect(got.param ?? null).toBe(param);
    expect(got.message).not.toContain("at ");
  });

  test("messages that are none, and a model without a template", async () => {
    const chat = (to: OpenAI, messages: unknown) => () =>
      to.chat.completions.create({ ...ask, messages } as OpenAI.ChatCompletionCreateParams);
    expect(await refusal(chat(client, []))).toMatchObject({ status: 400, param: "messages" });
    const bad = await refusal(chat(client, [{ role: "wizard", content: "a" }]));
    expect(bad).toMatchObject({ status: 400 });
    expect(bad.message).toContain("wizard");
    const bare = new TextServer({ ...options, template: null });
    const refused = await refusal(chat(clientOf(bare), [{ role: "user", content: "a" }]));
    expect(refused).toMatchObject({ status: 400, code: "unsupported" });
    await bare.close(0);
  });

  test("bodies, paths and hosts", async () => {
    const post = (path: string, body: string, headers: Record<string, string> = {}) =>
      fetch(`${server.url}${path}`, {
        ...{ method: "POST", body, headers: { "content-type": "application/json", ...headers } },
      });
    const statusOf = async (response: Promise<Response>) => {
      const { status, ok } = await response;
      expect(ok).toBe(false);
      return status;
    };
    expect(await statusOf(post("/v1/completions", "{"))).toBe(400);
    expect(await statusOf(post("/v1/completions", "[]"))).toBe(400);
    expect(await statusOf(post("/v1/nothing", "{}"))).toBe(404);
    const plain = { "content-type": "text/plain" };
    expect(await statusOf(post("/v1/completions", "{}", plain))).toBe(415);
    expect(await statusOf(post("/v1/completions", "{}", { host: "evil.example" }))).toBe(403);
    expect(await statusOf(fetch(`${server.url}/v1/completions`))).toBe(404);
  });

  test("a token must be shown where one is set; health needs none", async () => {
    expect(await refusal(() => clientOf(guarded, "wrong").models.list())).toMatchObject({
      ...{ status: 401, code: "invalid_api_key" },
    });
    expect((await clientOf(guarded, "secret").models.list()).data.length).toBe(1);
    expect(await (await fetch(`${guarded.url}/health`)).json()).toMatchObject({ status: "ok" });
    expect(() => new TextServer({ ...options, hostname: "0.0.0.0" })).toThrow("a token is needed");
  });
});

test("a client that leaves takes its request along", async () => {
  const leave = new AbortController();
  const request = { ...ask, prompt: "abc", max_tokens: 200, stream: true } as const;
  const seen = (async () => {
    for await (const _ of await client.completions.create(request, { signal: leave.signal }))
      leave.abort();
  })();
  await seen.catch(() => {});
  for (let i = 0; generator.load.active > 0 && i < 200; i++) await Bun.sleep(5);
  expect(generator.load).toEqual({ active: 0, waiting: 0 });
});

test("more requests than may wait are told so", async () => {
  const narrow = new TextServer({ ...options, waitingMax: 2 });
  const asked = Array.from({ length: 30 }, () =>
    clientOf(narrow).completions.create({ ...ask, prompt: "a", max_tokens: 60 }),
  );
  const results = await Promise.allSettled(asked);
  const refused = results.flatMap((each) => (each.status === "rejected" ? [each.reason] : []));
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.length).toBeLessThan(30);
  for (const { status, code } of refused)
    expect({ status, code }).toEqual({ status: 429, code: "rate_limit_exceeded" });
  await narrow.close(0);
});

test("closing lets answers in the making end and takes no more", async () => {
  const other = new TextServer(options);
  const running = clientOf(other).completions.create({ ...ask, prompt: "a", max_tokens: 150 });
  while (generator.load.active === 0) await Bun.sleep(1);
  const closed = other.close(10_000);
  expect((await running).usage?.completion_tokens).toBe(150);
  await closed;
  await expect(fetch(`${other.url}/health`)).rejects.toThrow();
});

test("32 clients stream at once without an error, and every answer is the one it gets alone", async () => {
  const request = (i: number) =>
    ({ ...ask, seed: i, prompt: "abcdefghij".repeat((i % 5) + 1), max_tokens: 20 + i }) as const;
  const streamed = async (i: number) => {
    let text = "";
    let reason: unknown;
    for await (const { choices } of await client.completions.create({
      ...request(i),
      stream: true,
    })) {
      text += choices[0]?.text ?? "";
      reason = choices[0]?.finish_reason ?? reason;
    }
    expect(reason).toBe("length");
    return text;
  };
  const alone: string[] = [];
  for (let i = 0; i < 32; i++)
    alone.push((await client.completions.create(request(i))).choices[0]?.text ?? "");
  const until = Date.now() + (THOROUGH ? 120_000 : 2_000);
  let answers = 0;
  const one = async (i: number): Promise<void> => {
    do {
      expect(await streamed(i)).toBe(alone[i] ?? "");
      answers++;
    } while (Date.now() < until);
  };
  await Promise.all(Array.from({ length: 32 }, (_, i) => one(i)));
  expect(answers).toBeGreaterThanOrEqual(32);
});
