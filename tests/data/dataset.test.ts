/** @file Built-in text and text files. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bytesTokenizer } from "../../src/data/bytes_tokenizer.ts";
import { openDataset } from "../../src/data/dataset.ts";
import { encodeText } from "../../src/data/text_dataset.ts";
import { dataOptions } from "./data_options.ts";

const folder = mkdtempSync(join(tmpdir(), "theseus-data-"));
afterAll(() => rmSync(folder, { recursive: true }));

const options = (text: string) => dataOptions({ text, validationFraction: 0.1 });
const tokensOf = (text: string) => encodeText(options(text), bytesTokenizer);

test("the built-in text is a megabyte or two of English, its parts disjoint", () => {
  const { train, validation } = tokensOf("sotu");
  expect(train.length).toBeGreaterThan(1_500_000);
  expect(validation.length).toBeGreaterThan(80_000);
  const text = bytesTokenizer.decode(train);
  expect(text).toContain("the American people");
  const held = bytesTokenizer.decode(validation);
  expect(text).not.toContain(held.slice(1000, 1200));
});

test("a file is cut at the end of a line", () => {
  const path = join(folder, "lines.txt");
  const lines = Array.from({ length: 200 }, (_, i) => `line number ${i} – é\n`);
  writeFileSync(path, lines.join(""));
  const { train, validation } = tokensOf(path);
  const parts = [bytesTokenizer.decode(train), bytesTokenizer.decode(validation)];
  expect(parts.join("")).toBe(lines.join(""));
  expect(parts[0]?.endsWith("\n")).toBe(true);
  expect(parts[1]?.length).toBeGreaterThan(lines.join("").length * 0.04);
});

test("what is no text file", async () => {
  const open = (text: string) => openDataset(options(text));
  writeFileSync(join(folder, "binary"), Uint8Array.of(0xff, 0xfe, 0x80));
  await expect(open(join(folder, "missing.txt"))).rejects.toThrow("missing.txt does not exist");
  await expect(open(folder)).rejects.toThrow("is not a file");
  await expect(open(join(folder, "binary"))).rejects.toThrow("is not UTF-8 text");
});

test("characters of several bytes arrive whole", () => {
  const stream = bytesTokenizer.stream();
  const ids = bytesTokenizer.encode("aé€");
  const parts = Array.from(ids, (id) => stream.push(id));
  expect(parts).toEqual(["a", "", "é", "", "", "€"]);
  expect(stream.end()).toBe("");
  expect(bytesTokenizer.byteCount(ids)).toBe(6);
});
