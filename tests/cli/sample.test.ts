/** @file theseus sample: one text, many of a file, ends, and what is refused. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SMALL_CONFIG, Workplace } from "./command_line.ts";

setDefaultTimeout(60_000);
const place = new Workplace();
afterAll(() => place.remove());

beforeAll(async () => {
  place.file("run.yaml", SMALL_CONFIG);
  expect((await place.run(["run", "first", "run.yaml"])).code).toBe(0);
});

const json = async (...args: string[]) => {
  const { code, stdout, stderr } = await place.run(["sample", "first", "--json", ...args]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout);
};

test("prompts of a file, several answers each: every text as if it were alone", async () => {
  place.file("prompts.txt", "We\nThe people of the\n\n");
  const { samples } = await json("--prompts", "prompts.txt", "-n", "2", "--tokens", "20");
  expect(samples.map((s: { prompt: string }) => s.prompt)).toEqual([
    ...["We", "We", "The people of the", "The people of the", "", ""],
  ]);
  const texts = samples.map((s: { text: string }) => s.text);
  expect(texts[0]).not.toBe(texts[1]);
  const alone = await json("The people of the", "-n", "2", "--tokens", "20", "--batch", "1");
  expect(alone.samples.map((s: { text: string }) => s.text)).toEqual(texts.slice(2, 4));
  place.file("prompts.jsonl", '{"prompt": "The people of the"}\n"We"\n');
  const lines = await json("--prompts", "prompts.jsonl", "--tokens", "20");
  expect(lines.samples.map((s: { text: string }) => s.text)).toEqual([texts[2], texts[0]]);
  const shown = await place.run(["sample", "first", "--prompts", "prompts.txt", "--tokens", "20"]);
  expect(shown.stdout).toContain(`--- prompt 2\nThe people of the${texts[2]}\n`);
});

test("a text goes on beyond the context, and ends at a stop string", async () => {
  const long = await json("We", "--tokens", "80", "--temperature", "1");
  expect(long.samples[0]).toMatchObject({ tokens: 80, finish_reason: "length", answer: 0 });
  expect(long.text).toBe(long.samples[0].text);
  const stop = long.text.slice(4, 6);
  const cut = await json("We", "--tokens", "80", "--temperature", "1", "--stop", stop);
  expect(cut.text).toBe(long.text.slice(0, long.text.indexOf(stop)));
  expect(cut.samples[0].finish_reason).toBe("stop");
});

test("logits that are no numbers end it with exit 7 and the place", async () => {
  await place.run(["checkpoint", "export", "first", "weights"]);
  const path = join(place.path, "weights/model.safetensors");
  // The last tensor is the last norm's: every logit depends on it.
  const bytes = readFileSync(path);
  writeFileSync(path, bytes.fill(0xff, bytes.length - 8));
  const { code, stderr } = await place.run(["sample", "weights", "We"]);
  expect(code).toBe(7);
  expect(stderr).toStartWith("error: the model's logits for token 2 are not finite: NaN at 0");
});

test("what is refused", async () => {
  place.file("empty.txt", "");
  place.file("bad.jsonl", '{"prompt": "a"}\n{"text": "b"}\n');
  const said = (...args: string[]) => place.said(["sample", "first", ...args]);
  expect(await said("x".repeat(32))).toMatchInlineSnapshot(`
    "exit 2
    stderr:
    error: the prompt has 32 tokens, and the context with its answer holds 32
    hint: shorten it, or give a larger --context where the model takes one
    "
  `);
  expect(await said("--prompts", "empty.txt")).toMatchInlineSnapshot(`
    "exit 6
    stderr:
    error: empty.txt holds no prompts
    hint: one prompt a line, or in a .jsonl file {"prompt": "..."} a line
    "
  `);
  expect(await said("--prompts", "bad.jsonl")).toMatchInlineSnapshot(`
    "exit 6
    stderr:
    error: bad.jsonl:2  expected {"prompt": "..."} or a string as JSON
    "
  `);
  expect(await said("--prompts", "none.txt")).toMatchInlineSnapshot(`
    "exit 3
    stderr:
    error: cannot read the prompts: ENOENT: no such file or directory, open 'none.txt'
    "
  `);
  expect(await said("We", "--prompts", "bad.jsonl")).toMatchInlineSnapshot(`
    "exit 2
    stderr:
    error: PROMPT and --prompts exclude each other
    "
  `);
  expect(await said("We", "--top-p", "0")).toMatchInlineSnapshot(`
    "exit 2
    stderr:
    error: --top-p expected a number > 0 and <= 1, got "0"
    "
  `);
  expect(await said("We", "-n", "0")).toMatchInlineSnapshot(`
    "exit 2
    stderr:
    error: --answers expected an integer >= 1, got "0"
    "
  `);
});
