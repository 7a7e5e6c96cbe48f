/** @file The composed form, against Hugging Face's (scripts/fixtures/composed_form.py). */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  composedParts,
  composedText,
  MAY_COMPOSE,
} from "../../../src/data/tokenizers/normalize.ts";

const samples = JSON.parse(
  readFileSync(join(import.meta.dir, "../../fixtures/composed_form.json"), "utf8"),
) as Record<string, string>;

test("newer characters stand alone, as they do to Hugging Face", () => {
  for (const [text, expected] of Object.entries(samples)) expect(composedText(text)).toBe(expected);
  expect(composedText("e\u0301 \u1112\u1161\u11ab o\u0302\u0323 \u212b")).toBe("é 한 ộ Å");
});

test("what is skipped would not change", () => {
  for (let code = 0; code < 0x110000; code++) {
    const char = String.fromCodePoint(code);
    const [, ...rest] = char.normalize("NFD");
    for (const part of rest) expect(MAY_COMPOSE.test(part)).toBe(true);
    if (MAY_COMPOSE.test(char)) continue;
    expect(char.normalize("NFC")).toBe(char);
    // Marks do not move across it.
    const marked = `${char}\u0323`.normalize("NFC");
    expect(`q\u0307${char}\u0323`.normalize("NFC")).toBe(`q\u0307${marked}`);
  }
});

test("broken bytes stay, the text around them is composed", () => {
  const bytes = Buffer.concat([
    Buffer.from("e\u0301"),
    Uint8Array.of(0xff, 0xc3),
    Buffer.from("o\u0302x"),
  ]);
  const expected = Buffer.concat([Buffer.from("é"), Uint8Array.of(0xff, 0xc3), Buffer.from("ôx")]);
  expect(Buffer.from(composedParts(bytes))).toEqual(expected);
});
