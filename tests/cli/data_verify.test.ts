/** @file theseus data verify: a sound folder, damaged bytes and where they are, another tokenizer, what is no folder. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { records } from "../data/tokenize/jobs.ts";
import { Workplace } from "./command_line.ts";

setDefaultTimeout(120_000);
const place = new Workplace();
afterAll(() => place.remove());

const FOLDER = "out/data/bytes";
const STEP = 8 * 2 ** 20;

beforeAll(async () => {
  const body = `${[...records(9000)].join("\n")}\n`;
  place.file("a.jsonl", body.repeat(Math.ceil((2.5 * STEP) / body.length) + 1));
  const tokens = "tokens: { tokenizer: bytes, validation_fraction: 0.01, workers: 1 }";
  place.file("c.yaml", `job: data/tokenize\nsource: { files: [a.jsonl] }\n${tokens}\n`);
  expect((await place.run(["run", "bytes", "c.yaml", "out"])).code).toBe(0);
});

const verify = (...args: string[]) => place.run(["data", "verify", ...args]);

function flip(file: string, at: number): void {
  const path = join(place.path, FOLDER, file);
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}

test("a sound folder", async () => {
  const { code, stdout } = await verify(FOLDER, "--tokenizer", "bytes");
  expect(code).toBe(0);
  expect(stdout).toContain("train-00000.tokens  ok, ");
  expect(stdout).toMatch(/stream of bytes \(\w{12}\), content \w{12}: 4 files as written/);
  const json = JSON.parse((await verify(FOLDER, "--json")).stdout);
  expect(json).toMatchObject({ schema_version: 1, ok: true, kind: "stream", problem: null });
  expect(json.files.map(({ ok }: { ok: boolean }) => ok)).toEqual([true, true, true, true]);
});

test("another tokenizer than the one that made it", async () => {
  const { code, stderr } = await verify(FOLDER, "--tokenizer", "gpt2");
  expect(code).toBe(6);
  expect(stderr).toMatch(/made with the tokenizer bytes \(\w{12}\), not with gpt2 \(\w{12}\)/);
});

test.each([0, STEP - 1, STEP, 2 * STEP + 12345])("a flipped byte at %d", async (at) => {
  flip("train-00000.tokens", at);
  const { code, stdout, stderr } = await verify(FOLDER);
  flip("train-00000.tokens", at);
  expect(code).toBe(6);
  const [, from, to] = /train-00000.tokens {2}is damaged between byte (\d+) and (\d+)/
    .exec(stderr)
    ?.map(Number) ?? [0, -1, -1];
  expect(from).toBe(at - (at % STEP));
  expect(to).toBeGreaterThan(at);
  expect((to ?? 0) - (from ?? 0)).toBeLessThanOrEqual(STEP);
  expect(stdout).toContain("train-00000.starts  ok");
  expect(stdout).toContain("1 of 4 files damaged");
});

test("a file that is short or gone, and what is no folder of tokens", async () => {
  const path = join(place.path, FOLDER, "train-00000.starts");
  const bytes = readFileSync(path);
  writeFileSync(path, bytes.subarray(8));
  const short = await verify(FOLDER);
  expect([short.code, short.stderr]).toEqual([
    6,
    expect.stringContaining("train-00000.starts has"),
  ]);
  writeFileSync(path, bytes);
  for (const [name, what] of [
    ["nothing", "does not exist"],
    [".", "is no folder of tokens"],
  ] as const) {
    const { code, stderr } = await verify(name);
    expect([code, stderr]).toEqual([6, expect.stringContaining(what)]);
  }
});
