/** @file Large texts: words of a megabyte, and many threads that make the ids of one. */
import { expect, test } from "bun:test";
import { mixedText } from "../../../scripts/fixtures/mixed_text.ts";
import { ByteLevelTokenizer } from "../../../src/data/tokenizers/byte_level.ts";
import { Native } from "../../../src/data/tokenizers/native.ts";
import { openTokenizer } from "../../../src/data/tokenizers/open_tokenizer.ts";

const opened = await openTokenizer("cl100k_base");
const encoder = opened instanceof ByteLevelTokenizer ? opened.encoder : undefined;

test("a megabyte of one letter, of spaces, of lines, takes no time that grows with its square", () => {
  for (const char of ["a", " ", "\n", "中", "="]) {
    const began = performance.now();
    const ids = opened.encode(char.repeat(1e6));
    expect(opened.byteCount(ids)).toBe(Buffer.byteLength(char) * 1e6);
    // A tenth of a second each; the square would take minutes.
    expect(performance.now() - began).toBeLessThan(30_000);
  }
}, 120_000);

test("ids do not depend on the number of threads", () => {
  if (!(encoder instanceof Native)) throw new Error("not native");
  const text = mixedText(5, 2_500_000, true);
  const one = encoder.native.encode(text, "all", 1);
  expect(opened.byteCount(one)).toBeLessThanOrEqual(text.length);
  for (const threads of [2, 3, 8]) {
    const many = encoder.native.encode(text, "all", threads);
    expect(Buffer.compare(new Uint8Array(many.buffer), new Uint8Array(one.buffer))).toBe(0);
  }
});
