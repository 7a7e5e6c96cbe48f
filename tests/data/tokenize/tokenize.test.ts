/** @file data/tokenize through the command line: the same bytes with any number of workers and any packing, splits, conflicts, bad input. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import type { TokensIndex } from "../../../src/data/shards/format.ts";
import { TokenFolder } from "../../../src/data/shards/token_folder.ts";
import { Workplace } from "../../cli/command_line.ts";
import { contents, records } from "./jobs.ts";

setDefaultTimeout(120_000);

const place = new Workplace();
afterAll(() => place.remove());

const lines = [...records(9000)];
const BODY = `${lines.join("\n")}\n`;

const CONFIG = `job: data/tokenize
source: { files: [a.jsonl] }
tokens: { tokenizer: bytes, shard_mb: 1, workers: 2, validation_fraction: 0.1 }
`;

beforeAll(() => {
  place.file("a.jsonl", BODY);
  place.file("a.jsonl.gz", gzipSync(BODY));
  place.file("a.jsonl.zst", zstdCompressSync(BODY));
  place.file("c.yaml", CONFIG);
});

const tokenize = (name: string, ...more: string[]) =>
  place.run(["run", name, "c.yaml", "out", ...more]);
const folder = (name: string) => join(place.path, "out/data", name);
const index = (name: string): TokensIndex =>
  JSON.parse(readFileSync(join(folder(name), "index.json"), "utf8"));

const utf8 = new TextDecoder();

/** Documents of a split as text, from files of bytes. */
function documents(name: string, split: "train" | "validation"): string[] {
  return index(name).splits[split].flatMap(({ tokens, starts }) => {
    const bytes = readFileSync(join(folder(name), tokens.file));
    const at = new BigUint64Array(
      new Uint8Array(readFileSync(join(folder(name), starts.file))).buffer,
    );
    return Array.from({ length: at.length - 1 }, (_, i) =>
      utf8.decode(bytes.subarray(Number(at[i]), Number(at[i + 1]))),
    );
  });
}

test("every document is there once, in order, on one side of the split", async () => {
  const { code, stderr } = await tokenize("two");
  expect(stderr).toContain("tokens to train on");
  expect(code).toBe(0);
  const texts = lines.map((line) => JSON.parse(line).text);
  const train = documents("two", "train");
  const held = new Set(documents("two", "validation"));
  expect(train).toEqual(texts.filter((text) => !held.has(text)));
  expect(train.length + held.size).toBe(texts.length);
  expect(held.size / texts.length).toBeGreaterThan(0.08);
  expect(held.size / texts.length).toBeLessThan(0.12);
  const { splits, counts, source } = index("two");
  expect(splits.train.length).toBeGreaterThan(2);
  expect(counts).toEqual({ records: texts.length });
  expect(source.files).toEqual([{ name: "a.jsonl", bytes: Buffer.byteLength(BODY) }]);
  expect(readdirSync(folder("two")).filter((file) => file.startsWith("."))).toEqual([]);
  await TokenFolder.open(folder("two")).verify();
  const again = await tokenize("two");
  expect(again.stderr).toContain("is there already");
});

test("the bytes depend neither on the number of workers nor on the packing", async () => {
  await tokenize("one", "tokens.workers=1");
  await tokenize("five", "tokens.workers=5");
  expect(contents(folder("five"))).toEqual(contents(folder("one")));
  for (const end of ["gz", "zst"]) {
    const name = `packed-${end}`;
    const { code } = await tokenize(name, `source.files=[a.jsonl.${end}]`, "tokens.workers=3");
    expect(code).toBe(0);
    for (const split of ["train", "validation"] as const)
      expect(documents(name, split)).toEqual(documents("one", split));
  }
});

test("which documents are held out depends on their text and the seed alone", async () => {
  place.file("shuffled/b.jsonl", `${lines.slice(4000).reverse().join("\n")}\n`);
  place.file(
    "shuffled/a.txt",
    lines
      .slice(0, 4000)
      .map((line) => JSON.parse(line).text)
      .join("\n"),
  );
  const more = ["source.txt_documents=line", "tokens.shard_mb=3"];
  await tokenize("shuffled", "source.files=[shuffled]", ...more);
  const sorted = (name: string) => documents(name, "validation").sort();
  expect(sorted("shuffled")).toEqual(sorted("one"));
  await tokenize("seeded", "tokens.seed=1");
  expect(sorted("seeded")).not.toEqual(sorted("one"));
});

test("a start and an end token", async () => {
  await tokenize("around", "tokens.tokenizer=gpt2", "tokens.start_token=<|endoftext|>");
  const [shard] = index("around").splits.train;
  const bytes = readFileSync(join(folder("around"), shard?.tokens.file ?? ""));
  const ids = new Uint16Array(new Uint8Array(bytes).buffer);
  expect([ids[0], ids.at(-1)]).toEqual([50256, 50256]);
  expect([...ids].filter((id) => id === 50256).length).toBe(2 * (shard?.document_count ?? 0));
  const unknown = await tokenize("unknown", "tokens.end_token=</s>");
  expect(unknown.code).toBe(2);
  expect(unknown.stderr).toContain('the tokenizer bytes has no token "</s>"');
});

test("a folder that holds something else is left alone", async () => {
  const before = contents(folder("one"));
  const tokenizer = await tokenize("x1", "tokens.output=one", "tokens.tokenizer=gpt2");
  expect(tokenizer.code).toBe(5);
  expect(tokenizer.stderr).toMatch(/holds tokens of the tokenizer bytes \(\w+\), expected gpt2 \(/);
  const seed = await tokenize("x2", "tokens.output=one", "tokens.seed=3");
  expect(seed.code).toBe(5);
  expect(seed.stderr).toContain("seed differ");
  const files = await tokenize("x3", "tokens.output=one", "source.files=[a.jsonl, a.jsonl.gz]");
  expect(files.code).toBe(5);
  expect(contents(folder("one"))).toEqual(before);
});

test("bad lines end the job with their place, or are left out and counted", async () => {
  const bad = [...lines];
  bad[4321] = '{"text": "unclosed';
  bad[5000] = '{"body": "x"}';
  bad[6000] = '{"text": " "}';
  bad[7000] = '{"text": 3}';
  for (const [name, pack] of [
    ["bad.jsonl", (text: string) => text],
    ["bad.jsonl.zst", zstdCompressSync],
  ] as const) {
    place.file(name, pack(bad.join("\n")));
    const one = "tokens.workers=1";
    const failed = await tokenize(`f-${name}`, `source.files=[${name}]`, one);
    expect(failed.code).toBe(6);
    expect(failed.stderr).toContain(`${name}:4322`);
    expect(failed.stderr).toContain("expected a JSON object on the line");
    expect(failed.stderr).toContain("source.on_bad_line=skip");
    expect(existsSync(join(folder(`f-${name}`), "index.json"))).toBe(false);
    const skip = [`source.files=[${name}]`, "source.on_bad_line=skip"];
    const { code, stderr } = await tokenize(`s-${name}`, ...skip);
    expect(code).toBe(0);
    expect(stderr).toContain("4 bad records left out");
    const { counts, source } = index(`s-${name}`);
    expect(counts).toEqual({ records: lines.length - 4, skipped: 4 });
    expect((source.bad as { line: number }[]).map(({ line }) => line)).toEqual([
      ...[4322, 5001, 6001, 7001],
    ]);
    const why = (source.bad as { why: string }[]).map(({ why }) => why).join("\n");
    expect(why).toContain('no field "text": expected text there; the fields are body');
    expect(why).toContain("an empty document");
    expect(why).toContain('the field "text" is a number: expected text');
  }
});

test("one .txt file as one document cannot be split", async () => {
  place.file("one.txt", "some text\n\nmore\n");
  const { code, stderr } = await tokenize("txt", "source.files=[one.txt]");
  expect(code).toBe(2);
  expect(stderr).toContain("source.txt_documents=blank_line");
  const all = ["source.files=[one.txt]", "tokens.validation_fraction=0"];
  expect((await tokenize("txt", ...all, "--fresh")).code).toBe(0);
  expect(documents("txt", "train")).toEqual(["some text\n\nmore\n"]);
});

test("a flipped byte is found", async () => {
  await tokenize("flipped");
  const file = join(folder("flipped"), index("flipped").splits.train[1]?.tokens.file ?? "");
  const bytes = readFileSync(file);
  bytes[1000] = (bytes[1000] ?? 0) ^ 1;
  writeFileSync(file, bytes);
  const error = await TokenFolder.open(folder("flipped"))
    .verify()
    .catch((e) => e);
  expect(String(error)).toContain("train-00001.tokens is damaged");
});

test("nothing to read, or what is not there", async () => {
  const none = await tokenize("n1", "source.files=[]");
  expect([none.code, none.stderr]).toEqual([2, expect.stringContaining("nothing to read")]);
  const missing = await tokenize("n2", "source.files=[missing.jsonl]");
  expect(missing.code).toBe(3);
  const glob = await tokenize("n3", "source.files=['*.parquet']");
  expect([glob.code, glob.stderr]).toEqual([
    3,
    expect.stringContaining("no file matches *.parquet"),
  ]);
  const kind = await tokenize("n4", "source.files=[c.yaml]");
  expect([kind.code, kind.stderr]).toEqual([
    2,
    expect.stringContaining("expected a file whose name"),
  ]);
  const twice = await tokenize("n5", "source.files=[a.jsonl, './a.jsonl']");
  expect([twice.code, twice.stderr]).toEqual([2, expect.stringContaining("is named twice")]);
});
