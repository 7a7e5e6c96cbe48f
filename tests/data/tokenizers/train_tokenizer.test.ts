/** @file Learned vocabularies are those of Hugging Face's trainer (scripts/fixtures/trained_tokenizer.py), from files of any kind. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mixedText } from "../../../scripts/fixtures/mixed_text.ts";
import { openTokenizer } from "../../../src/data/tokenizers/open_tokenizer.ts";
import { TRAIN_PATTERNS, trainTokenizer } from "../../../src/data/tokenizers/train_tokenizer.ts";

interface Learned {
  readonly merges: number;
  readonly merges_sha256: string;
  readonly tokens: number;
  readonly ids_sha256: string;
}

const fixture = JSON.parse(
  readFileSync(join(import.meta.dir, "../../fixtures/trained_tokenizer.json"), "utf8"),
) as {
  readonly seed: number;
  readonly bytes: number;
  readonly vocab_size: number;
  readonly patterns: Readonly<Record<string, Learned>>;
};

const folder = mkdtempSync(join(tmpdir(), "theseus-train-tokenizer-"));
afterAll(() => rmSync(folder, { recursive: true }));

const text = mixedText(fixture.seed, fixture.bytes, false);
const path = join(folder, "text.txt");
writeFileSync(path, text);

const options = {
  files: [path],
  textField: "text",
  vocabSize: fixture.vocab_size,
  pattern: "gpt4",
  special: ["<|endoftext|>"],
  minFrequency: 2,
} as const;

const sha256 = (data: string | Uint8Array): string =>
  new Bun.CryptoHasher("sha256").update(data).digest("hex");

const mergesOf = (files: Readonly<Record<string, string>>): string =>
  (
    JSON.parse(files["tokenizer.json"] ?? "") as {
      model: { merges: readonly (readonly string[])[] };
    }
  ).model.merges
    .map((merge) => merge.join(" "))
    .join("\n");

for (const pattern of Object.keys(TRAIN_PATTERNS) as (keyof typeof TRAIN_PATTERNS)[])
  test(`${pattern}: merges and ids are those of Hugging Face`, async () => {
    const expected = fixture.patterns[pattern];
    const trained = await trainTokenizer({ ...options, pattern });
    expect(sha256(mergesOf(trained.files))).toBe(expected?.merges_sha256 ?? "");
    const target = mkdtempSync(join(folder, "out-"));
    for (const [name, content] of Object.entries(trained.files))
      writeFileSync(join(target, name), content);
    const tokenizer = await openTokenizer(target);
    expect(tokenizer.vocabSize).toBe(fixture.vocab_size);
    expect(tokenizer.special.eos).toBe(fixture.vocab_size - 1);
    const ids = Uint32Array.from(tokenizer.encode(text));
    expect(ids.length).toBe(expected?.tokens ?? 0);
    expect(sha256(new Uint8Array(ids.buffer))).toBe(expected?.ids_sha256 ?? "");
  });

test("compressed files and records give the same vocabulary", async () => {
  const whole = mergesOf((await trainTokenizer(options)).files);
  const zst = join(folder, "text.txt.zst");
  writeFileSync(zst, Bun.zstdCompressSync(text));
  expect(mergesOf((await trainTokenizer({ ...options, files: [zst] })).files)).toBe(whole);
  const lines = join(folder, "text.jsonl");
  writeFileSync(lines, `${JSON.stringify({ content: new TextDecoder().decode(text) })}\n`);
  const records = { ...options, files: [lines], textField: "content" };
  expect(mergesOf((await trainTokenizer(records)).files)).toBe(whole);
});

test("what cannot be learned from", async () => {
  const lines = join(folder, "bad.jsonl");
  writeFileSync(lines, '{"text": "a"}\n{"other": "b"}\n');
  await expect(trainTokenizer({ ...options, files: [lines] })).rejects.toThrow("bad.jsonl:2");
  await expect(trainTokenizer({ ...options, vocabSize: 256 })).rejects.toThrow(
    "less than the 256 bytes",
  );
  const special = ["<a>", "<a>"];
  await expect(trainTokenizer({ ...options, special })).rejects.toThrow(
    'must differ and have text, got "<a>"',
  );
  const few = join(folder, "few.txt");
  writeFileSync(few, "abab");
  const trained = await trainTokenizer({ ...options, files: [few] });
  expect(trained.vocabSize).toBe(258);
});
