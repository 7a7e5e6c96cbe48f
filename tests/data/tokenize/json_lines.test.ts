/** @file JSON that is read natively becomes the same files, counts and places of bad lines as records from JSON.parse. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sourceFile } from "../../../src/data/sources/expand.ts";
import { nativeRecordsOf } from "../../../src/data/tokenize/native_records_of.ts";
import { PartRunner } from "../../../src/data/tokenize/run_part.ts";
import type { TokenizeSetup } from "../../../src/data/tokenize/setup.ts";
import { Splitter } from "../../../src/data/tokenize/split.ts";
import { TextFormatter } from "../../../src/data/tokenize/text_formatter.ts";
import { openTokenizer } from "../../../src/data/tokenizers/open_tokenizer.ts";
import { contents, records } from "./jobs.ts";

// Every run waits for the disk.
setDefaultTimeout(60_000);

const root = mkdtempSync(join(tmpdir(), "theseus-lines-"));
afterAll(() => rmSync(root, { recursive: true }));

const text = (value: string, rest = ""): string => `{"text":${JSON.stringify(value)}${rest}}`;
const raw = (value: string): string => `{"text":"${value}"}`;
const bytes = (...parts: (string | number[])[]): Buffer =>
  Buffer.concat(parts.map((part) => Buffer.from(part as string)));

/** Around where the hash begins to take the beginning of a text and its length. */
const long = ["a", "é", "中", "😀", "x😀"].flatMap((unit) =>
  [-2, -1, 0, 1, 2, 700].map((more) => {
    const units = 4096 + more;
    return text(unit.repeat(Math.ceil(units / unit.length)).slice(0, units));
  }),
);

const adversarial: (string | Buffer)[] = [
  ...["", "   ", "\t\r", "{}", "[]", "null", '"text"', "{", "}", '{"text"', '{"text":"a"'],
  ...['{"text":"a"}}', '{"text":"a"} x', '{"text":"a",}', '{,"text":"a"}', '{"text":"a"}\r'],
  ...[' \t{ "text" \r: "spaces" , "id" : 1 } ', '{"text":"a","text":"b"}', '{"text":"a","text":1}'],
  ...['{"te\\u0078t":"key"}', '{"text":"a","te\\u0078t":"b"}', '{"Text":"a"}', '{"":"a"}'],
  ...['{"__proto__":"a","text":"b"}', '{"m":{"text":"no"},"text":"yes"}', '{"m":{"text":"no"}}'],
  ...['{"text":null}', '{"text":1}', '{"text":["a"]}', '{"text":{"text":"a"}}', '{"text":true}'],
  ...["01", "1.", ".5", "+1", "-", "-0", "1e", "1e+", "1E-2", "1.5e3", "0x1", "NaN", "1e999"].map(
    (number) => `{"n":${number},"text":"number"}`,
  ),
  ...["tru", "true1", "nul", "falsee", "undefined", "[1,]", "[,]", "[1 2]", "{'a':1}", "{a:1}"].map(
    (value) => `{"n":${value},"text":"value"}`,
  ),
  ...['{"a"}', '{"a":1,}', '{"a":1 "b":2}', '{"a":{"b":[{},[],[[]],"\\n"]}}', '"\\x"', '"\t"'].map(
    (value) => `{"n":${value},"text":"value"}`,
  ),
  ...[20, 31, 32, 33, 70].map((n) => `{"n":${"[".repeat(n)}${"]".repeat(n)},"text":"deep"}`),
  ...[
    "\\n",
    "a\\nb",
    '\\"\\\\\\/\\b\\f\\n\\r\\t',
    "\\u0000",
    "\\u00e9\\u4e2d",
    "\\uD83D\\uDE00",
  ].map(raw),
  ...["\\ud83d", "\\ude00", "\\ud83d\\u0041", "\\ud83dx", "\\ude00\\ud83d", "x\\uD83D"].map(raw),
  ...["\\u12", "\\u12g4", "\\u+123", "\\u 123", "\\U0041", "\\x41", "\\", "\\'", "\\0", "\\v"].map(
    raw,
  ),
  ...[
    "",
    " ",
    "\\n\\t ",
    "\u00a0",
    "\u3000\\n",
    "\u2028",
    "\ufeff",
    "\u0085",
    "\\u00a0",
    "\\u200b",
  ].map(raw),
  ...["\u00a0a", "\u3000中", "カナ", "にほん", "\u180e", "\\u001c", "\\u000b", "\u1680\u202f"].map(
    raw,
  ),
  ...[1, 9, 11, 12, 31, 127].map((code) => raw(`a${String.fromCharCode(code)}`)),
  ...["<|endoftext|>", "a<|endoftext|>b", "é", "中文", "😀", "e\u0301", "\ufefftext"].map((each) =>
    text(each),
  ),
  ...[
    [0xff],
    [0xc0, 0x80],
    [0xed, 0xa0, 0x80],
    [0xf4, 0x90, 0x80, 0x80],
    [0xe2, 0x82],
    [0xf8],
  ].flatMap((bad) => [
    bytes('{"text":"', bad, '"}'),
    bytes('{"n":"', bad, '","text":"a"}'),
    bytes('{"text":"a"', bad, "}"),
    bytes('{"text":"a","', bad, '":1}'),
  ]),
  bytes('{"text":"', [0xf4, 0x8f, 0xbf, 0xbf], [0xee, 0x80, 0x80], [0xed, 0x9f, 0xbf], '"}'),
  bytes([0xef, 0xbb, 0xbf], '{"text":"mark"}'),
  ...long,
  text("\n".repeat(5000)),
  text("é\n".repeat(5000), `,"more":"${"z".repeat(100)}"`),
  text("two words ".repeat(120_000)),
  ...records(300),
];

const body = Buffer.concat(adversarial.map((line) => bytes(line as string, "\n")));
writeFileSync(join(root, "all.jsonl"), body);
writeFileSync(join(root, "utf8.jsonl"), [...long, ...records(3000, 3)].join("\n"));

interface Options {
  readonly tokenizer?: string;
  readonly seed?: number;
  readonly share?: number;
  readonly file?: string;
  readonly onBadLine?: "fail" | "skip";
  readonly startToken?: string;
}

async function made(natively: boolean, options: Options): Promise<unknown> {
  const { tokenizer = "gpt2", seed = 0, share = 0.3, file = "all.jsonl" } = options;
  const setup: TokenizeSetup = {
    kind: "stream",
    files: [sourceFile(join(root, file), file)],
    read: { textField: "text", txtDocuments: "file", maxRecordBytes: 2 ** 23 },
    tokenizer,
    text: { textField: "text", startToken: options.startToken ?? "none", endToken: "auto" },
    chat: null,
    seed,
    validationFraction: share,
    onBadLine: options.onBadLine ?? "skip",
  };
  const runner = await PartRunner.open(setup, await openTokenizer(tokenizer), natively);
  const out = join(root, crypto.randomUUID());
  mkdirSync(out);
  const hooks = { progress() {}, stopped: () => false };
  const result = await runner.run(out, [{ kind: "whole", file: 0 }], hooks);
  await runner.close();
  return { result, files: contents(out) };
}

async function expectSame(options: Options): Promise<void> {
  expect(await made(true, options)).toEqual(await made(false, options));
}

test("lines that are hard to read", () => expectSame({}));
test("four bytes a token, a start token", () =>
  expectSame({ tokenizer: "o200k_base", startToken: "<|endoftext|>" }));
test("seeds and shares", async () => {
  for (const [seed, share] of [
    [1, 0.01],
    [7, 0.5],
    [2 ** 32 + 3, 0.5],
    [Number.MAX_SAFE_INTEGER, 0.999],
  ] as const)
    await expectSame({ seed, share, file: "utf8.jsonl" });
  await expectSame({ share: 0, file: "utf8.jsonl" });
});

test("the same line fails a job", async () => {
  const why = (natively: boolean) =>
    made(natively, { onBadLine: "fail" }).catch((error: unknown) => {
      expect(error).toHaveProperty("place");
      const { message, place } = error as { message: string; place: unknown };
      return { message, place };
    });
  const failure = await why(true);
  expect(failure).toHaveProperty("message");
  expect(failure).toEqual(await why(false));
});

/** As many as are noted, so that all reasons are compared. */
test("ten lines at a time", async () => {
  for (let from = 0; from < 200; from += 10) {
    const lines = adversarial.slice(from, from + 10).map((line) => bytes(line as string, "\n"));
    writeFileSync(join(root, "ten.jsonl"), Buffer.concat(lines));
    await expectSame({ file: "ten.jsonl" });
  }
});

test("it is what jobs of text use, and others do not", async () => {
  const splitter = new Splitter(0, 0.1);
  const spec = { textField: "text", startToken: "none", endToken: "auto" };
  const reader = async (name: string) => {
    const tokenizer = await openTokenizer(name);
    return nativeRecordsOf(tokenizer, new TextFormatter(tokenizer, spec), splitter);
  };
  expect(await reader("gpt2")).not.toBeNull();
  expect(await reader("bytes")).toBeNull();
});
