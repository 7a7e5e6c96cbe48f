/** @file Tokenizers by name: what each says of itself, and what text becomes and comes back as. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CLASSES_PATH, classTable } from "../../../scripts/generate_unicode.ts";
import { PACKED, packedPath, ranksOf } from "../../../scripts/pack_vocabularies.ts";
import { openTokenizer } from "../../../src/data/tokenizers/open_tokenizer.ts";

const folder = mkdtempSync(join(tmpdir(), "theseus-tokenizer-"));
afterAll(() => rmSync(folder, { recursive: true }));

const TEXT = "Hello world! I'm <|endoftext|> 你好 👋\n\n  x";

test("the packed vocabularies are those of the package", () => {
  for (const name of PACKED) {
    const packed = Bun.zstdDecompressSync(readFileSync(packedPath(name)));
    expect(Buffer.compare(packed, ranksOf(name))).toBe(0);
  }
});

describe("gpt2", async () => {
  const gpt2 = await openTokenizer("gpt2");

  test("ids, special tokens and sizes", () => {
    expect(gpt2.vocabSize).toBe(50257);
    expect(gpt2.special).toEqual({ bos: 50256, eos: 50256, pad: undefined });
    expect(Array.from(gpt2.encode("Hello world!"))).toEqual([15496, 995, 0]);
    expect(gpt2.encode("")).toEqual(new Uint16Array(0));
    expect(gpt2.idOf("<|endoftext|>")).toBe(50256);
    expect(gpt2.idOf(" world")).toBe(995);
    expect(gpt2.idOf("no such token")).toBeUndefined();
  });

  test("a special token in a text is text unless it is asked for", () => {
    expect(Array.from(gpt2.encode("<|endoftext|>"))).not.toContain(50256);
    const parsed = gpt2.encode("a<|endoftext|>b", { parseSpecial: true });
    expect(Array.from(parsed)).toEqual([64, 50256, 65]);
    expect(gpt2.decode(parsed)).toBe("a<|endoftext|>b");
    expect(gpt2.decode(parsed, { skipSpecial: true })).toBe("ab");
    expect(gpt2.byteCount(parsed)).toBe(2);
  });

  test("text comes back whole, at once and token by token", () => {
    const ids = gpt2.encode(TEXT);
    expect(gpt2.decode(ids)).toBe(TEXT);
    expect(gpt2.byteCount(ids)).toBe(new TextEncoder().encode(TEXT).length);
    const stream = gpt2.stream();
    const parts = Array.from(ids, (id) => stream.push(id));
    expect(parts.join("") + stream.end()).toBe(TEXT);
    expect(parts.some((part) => part.includes("\ufffd"))).toBe(false);
    expect(gpt2.show(198)).toBe("<0x0A>");
    expect(gpt2.show(19526)).toBe("<0xE4><0xBD>");
  });

  test("its files open as the same tokenizer", async () => {
    for (const [name, text] of Object.entries(gpt2.files()))
      writeFileSync(join(folder, name), text);
    const again = await openTokenizer(folder);
    expect(again.fingerprint).toBe(gpt2.fingerprint);
    expect(again.special).toEqual(gpt2.special);
    expect(again.encode(TEXT)).toEqual(gpt2.encode(TEXT));
  });
});

test("what is no tokenizer", async () => {
  await expect(openTokenizer(join(folder, "none"))).rejects.toThrow("no tokenizer at");
  const broken = join(folder, "broken.json");
  writeFileSync(broken, '{"model":');
  await expect(openTokenizer(broken)).rejects.toThrow("is not JSON");
  writeFileSync(broken, "{}");
  await expect(openTokenizer(broken)).rejects.toThrow('no "model" with a type');
});

test("the classes of characters are those of the Unicode package", async () => {
  expect(Buffer.compare(readFileSync(CLASSES_PATH), await classTable())).toBe(0);
});
