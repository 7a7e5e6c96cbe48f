/** @file A part that ended in the middle of a batch goes on there: no record is lost or twice there, whichever note is read. */
import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { bytesTokenizer } from "../../../src/data/bytes_tokenizer.ts";
import { sourceFile } from "../../../src/data/sources/expand.ts";
import { RECENT } from "../../../src/data/tokenize/part_progress.ts";
import { PartRunner } from "../../../src/data/tokenize/run_part.ts";
import type { TokenizeSetup } from "../../../src/data/tokenize/setup.ts";
import type { Tokenizer } from "../../../src/data/tokenizer.ts";
import { contents, records } from "./jobs.ts";

const root = mkdtempSync(join(tmpdir(), "theseus-progress-"));
afterAll(() => rmSync(root, { recursive: true }));

const lines = [...records(400, 5)];
const withBlank = lines.map((line, i) => (i % 7 === 3 ? ` \r\n\n${line}\r` : line));
// The byte order mark and blank lines shift where items stand.
const FILES: Readonly<Record<string, string | Uint8Array>> = {
  "a.jsonl": `\ufeff${withBlank.join("\n")}\n`,
  "a.jsonl.gz": gzipSync(withBlank.join("\n")),
  "a.txt": withBlank.join("\n"),
};
for (const [name, body] of Object.entries(FILES)) writeFileSync(join(root, name), body);

const setupOf = (name: string): TokenizeSetup => ({
  kind: "stream",
  files: [sourceFile(join(root, name), name)],
  read: { textField: "text", txtDocuments: "line", maxRecordBytes: 2 ** 23 },
  tokenizer: "bytes",
  text: { textField: "text", startToken: "none", endToken: "none" },
  ...{ chat: null, seed: 0, validationFraction: 0.3, onBadLine: "fail" },
});

class Killed extends Error {}

/** A millisecond a document, and the end after so many. */
function mortal(documents: number): Tokenizer {
  let left = documents;
  return {
    ...bytesTokenizer,
    encode(text) {
      if (left-- === 0) throw new Killed();
      Bun.sleepSync(1);
      return bytesTokenizer.encode(text);
    },
  };
}

async function run(name: string, folder: string, tokenizer: Tokenizer): Promise<unknown> {
  const runner = await PartRunner.open(setupOf(name), tokenizer);
  const hooks = { progress() {}, stopped: () => false };
  try {
    return await runner.run(folder, [{ kind: "whole", file: 0 }], hooks);
  } finally {
    await runner.close();
  }
}

function place(): string {
  const folder = join(root, crypto.randomUUID());
  mkdirSync(folder);
  return folder;
}

const noted = (folder: string): { at: number } => {
  const text = readFileSync(join(folder, RECENT), "utf8").split("\n", 1)[0] ?? "";
  return JSON.parse(text.slice(text.indexOf(" ") + 1));
};

for (const name of Object.keys(FILES))
  test(`killed three times within a batch of ${name}`, async () => {
    const whole = place();
    const result = await run(name, whole, bytesTokenizer);
    const folder = place();
    let at = 0;
    for (const documents of [120, 90, 130]) {
      expect(await run(name, folder, mortal(documents)).catch((e) => e)).toBeInstanceOf(Killed);
      const now = noted(folder).at;
      expect(now).toBeGreaterThan(at);
      at = now;
    }
    expect(await run(name, folder, bytesTokenizer)).toEqual(result);
    expect(contents(folder)).toEqual(contents(whole));
    expect(existsSync(join(folder, RECENT))).toBe(false);
  });

for (const [what, damage] of [
  ["of another boot", (text: string) => text.replace(/"boot":"./, '"boot":"x')],
  ["that was cut", (text: string) => text.slice(0, 40)],
  ["with a byte flipped", (text: string) => text.replace('"records":', '"recordz":')],
] as const)
  test(`a note ${what} is not believed`, async () => {
    const folder = place();
    await run("a.jsonl", folder, mortal(200)).catch(() => null);
    const path = join(folder, RECENT);
    const text = readFileSync(path, "utf8");
    expect(damage(text)).not.toBe(text);
    const body = damage(text).split("\n", 1)[0]?.slice(17) ?? "";
    const hash = Bun.hash.xxHash3(body).toString(16).padStart(16, "0");
    // Of another boot it is whole, and only that tells.
    const rehashed = what === "of another boot" ? `${hash} ${body}\n` : damage(text);
    writeFileSync(path, rehashed);
    let encoded = 0;
    const counting: Tokenizer = {
      ...bytesTokenizer,
      encode(each) {
        encoded++;
        return bytesTokenizer.encode(each);
      },
    };
    await run("a.jsonl", folder, counting);
    expect(encoded).toBe(lines.length);
  });

test("a note that counts more than the files have is not believed", async () => {
  const folder = place();
  await run("a.jsonl", folder, mortal(200)).catch(() => null);
  writeFileSync(join(folder, "train.tokens"), "");
  const whole = place();
  expect(await run("a.jsonl", folder, bytesTokenizer)).toEqual(
    await run("a.jsonl", whole, bytesTokenizer),
  );
  expect(contents(folder)).toEqual(contents(whole));
});
