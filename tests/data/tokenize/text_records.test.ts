/** @file Lines and paragraphs of .txt that are read natively become the same files, counts and places as records. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { sourceFile } from "../../../src/data/sources/expand.ts";
import { PartRunner } from "../../../src/data/tokenize/run_part.ts";
import type { TokenizeSetup } from "../../../src/data/tokenize/setup.ts";
import { openTokenizer } from "../../../src/data/tokenizers/open_tokenizer.ts";
import { contents } from "./jobs.ts";

// Every run waits for the disk.
setDefaultTimeout(60_000);

const root = mkdtempSync(join(tmpdir(), "theseus-text-"));
afterAll(() => rmSync(root, { recursive: true }));

let state = 7;
const random = (below: number): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
};

const PIECES: readonly (string | readonly number[])[] = [
  ...["\n", "\n", "\n\n", "\r\n", " \n", "\t\n", "\v\n", "\f\n", "\n\n\n", " ", "\r", "\0"],
  ...["a", "the people", " of", "<|endoftext|>", "é", "中文", "👋", "\u00a0", "\u2028", "\ufeff"],
  ...[[0xff], [0xc3], [0xe2, 0x82], [0xed, 0xa0, 0x80]],
];

function noise(bytes: number): Uint8Array {
  const parts: Buffer[] = [];
  for (let length = 0; length < bytes; ) {
    const part = Buffer.from(PIECES[random(PIECES.length)] as string);
    parts.push(part);
    length += part.length;
  }
  return Buffer.concat(parts);
}

const words = (bytes: number): string => "union of words, ".repeat(Math.ceil(bytes / 16));
/** Documents of more than a block, of more than may be read natively, and of more than is allowed. */
const large = [words(700_000), words(1.2e6), words(2.5e6), "short", words(9e5)];
const FILES: Readonly<Record<string, string | Uint8Array>> = {
  "empty.txt": "",
  "blank.txt": "\n \n\t\n\n\r\n",
  "mark.txt": "\ufeff\n\na\r\n\r\nb",
  "noise.txt": noise(60_000),
  "long.txt": noise(2_500_000),
  "large.txt": large.join("\n \n\n"),
  "noise.txt.zst": zstdCompressSync(noise(1_500_000)),
};
for (const [name, body] of Object.entries(FILES)) writeFileSync(join(root, name), body);

interface Options {
  readonly file: string;
  readonly documents: "line" | "blank_line";
  readonly tokenizer?: string;
  readonly startToken?: string;
}

async function made(natively: boolean, options: Options): Promise<unknown> {
  const { file, documents, tokenizer = "gpt2", startToken = "none" } = options;
  const setup: TokenizeSetup = {
    kind: "stream",
    files: [sourceFile(join(root, file), file)],
    read: { textField: "text", txtDocuments: documents, maxRecordBytes: 2 ** 21 },
    text: { textField: "text", startToken, endToken: "auto" },
    ...{ tokenizer, chat: null, seed: 3, validationFraction: 0.3, onBadLine: "skip" },
  };
  const runner = await PartRunner.open(setup, await openTokenizer(tokenizer), natively);
  const out = join(root, crypto.randomUUID());
  mkdirSync(out);
  const hooks = { progress() {}, stopped: () => false };
  const result = await runner.run(out, [{ kind: "whole", file: 0 }], hooks);
  await runner.close();
  return { result, files: contents(out) };
}

for (const documents of ["line", "blank_line"] as const)
  for (const file of Object.keys(FILES))
    test(`${file}, ${documents}`, async () => {
      const options = { file, documents };
      expect(await made(true, options)).toEqual(await made(false, options));
    });

test("four bytes a token, a start token", async () => {
  const options: Options = {
    ...{ file: "noise.txt", documents: "blank_line", tokenizer: "cl100k_base" },
    startToken: "<|endoftext|>",
  };
  expect(await made(true, options)).toEqual(await made(false, options));
});

test("what is too long is left out and its place noted", async () => {
  const { result } = (await made(true, { file: "large.txt", documents: "blank_line" })) as {
    result: { bad: { line: number; why: string }[]; counts: Record<string, number> };
  };
  expect(result.counts).toEqual({ records: 4, skipped: 1 });
  expect(result.bad.map(({ line, why }) => [line, /^a document of 2\.4 MiB/.test(why)])).toEqual([
    [7, true],
  ]);
});
