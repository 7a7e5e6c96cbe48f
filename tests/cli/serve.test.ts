/** @file theseus serve as a process: it says where it listens, answers, and ends on a signal. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import OpenAI from "openai";
import { SMALL_CONFIG, Workplace } from "./command_line.ts";

setDefaultTimeout(60_000);
const place = new Workplace();
afterAll(() => place.remove());

beforeAll(async () => {
  place.file("run.yaml", SMALL_CONFIG);
  expect((await place.run(["run", "first", "run.yaml"])).code).toBe(0);
});

/** The first line of a stream, the rest being left to flow. */
async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let text = "";
  while (!text.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) break;
    text += decoder.decode(value, { stream: true });
  }
  return text.split("\n")[0] ?? "";
}

test("serves a run until SIGTERM, on a port of its own", async () => {
  const child = place.start(["serve", "first", "--port", "0", "--batch", "2", "--json"]);
  const started = JSON.parse(await firstLine(child.stdout));
  expect(started).toMatchObject({ schema_version: 1, context: 32, batch: 2 });
  const client = new OpenAI({ baseURL: started.url, apiKey: "none", maxRetries: 0 });
  const request = { model: "first", prompt: "We", max_tokens: 8, temperature: 0 } as const;
  const { choices } = await client.completions.create(request);
  const sampled = await place.run([
    ...["sample", "first", "We", "--tokens", "8", "--temperature", "0"],
  ]);
  expect(`We${choices[0]?.text}\n`).toBe(sampled.stdout);
  const port = new URL(started.url).port;
  const taken = await place.run(["serve", "first", "--port", port]);
  expect(taken).toMatchObject({ code: 5 });
  expect(taken.stderr).toContain(`cannot listen on 127.0.0.1:${port}`);
  child.kill("SIGTERM");
  const began = performance.now();
  expect(await child.exited).toBe(0);
  // Nothing was in the making.
  expect(performance.now() - began).toBeLessThan(10_000);
});

test("what is refused", async () => {
  const said = async (...args: string[]) => {
    const { code, stderr } = await place.run(["serve", "first", ...args]);
    return `${code} ${stderr.split("\n").find((line) => line.startsWith("error")) ?? stderr}`;
  };
  expect(await said("--host", "0.0.0.0", "--port", "0")).toMatchInlineSnapshot(
    `"2 error: 0.0.0.0 can be reached by others: a token is needed"`,
  );
  expect(await said("--context", "64")).toMatchInlineSnapshot(
    `"2 error: expected a context of 2 to 32 tokens, the most the model takes, got 64"`,
  );
  expect(await said("--template", "none.jinja")).toMatchInlineSnapshot(
    `"3 error: no chat template "none.jinja""`,
  );
  expect(await said("--port", "99999")).toMatchInlineSnapshot(
    `"2 error: --port expected an integer >= 0 and <= 65535, got "99999""`,
  );
});
