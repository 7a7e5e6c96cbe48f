/** @file data/import and data/export: files of llm.c and nanoGPT, there and back. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { TokensIndex } from "../../../src/data/shards/format.ts";
import { TokenFolder } from "../../../src/data/shards/token_folder.ts";
import { Workplace } from "../../cli/command_line.ts";

setDefaultTimeout(60_000);

const place = new Workplace();
afterAll(() => place.remove());

const END = 50256;
/** As llm.c's data_common.py writes them. */
function llmc(tokens: readonly number[], magic = 20240520, version = 1): Uint8Array {
  const header = new Int32Array(256);
  header.set([magic, version, tokens.length]);
  const body = magic === 20240520 ? Uint16Array.from(tokens) : Uint32Array.from(tokens);
  return Buffer.concat([Buffer.from(header.buffer), Buffer.from(body.buffer)]);
}
const nanogpt = (tokens: readonly number[]) => new Uint8Array(Uint16Array.from(tokens).buffer);

const index = (name: string): TokensIndex =>
  JSON.parse(readFileSync(join(place.path, "out/data", name, "index.json"), "utf8"));
const startsOf = (name: string, split: "train" | "validation", shard = 0): number[] => {
  const file = index(name).splits[split][shard]?.starts.file ?? "";
  const bytes = readFileSync(join(place.path, "out/data", name, file));
  return [...new BigUint64Array(new Uint8Array(bytes).buffer)].map(Number);
};
const bring = (name: string, files: string, ...more: string[]) =>
  place.run(["run", name, "import.yaml", "out", `import.files=${files}`, ...more]);
const send = (name: string, from: string, format: string) =>
  place.run([
    ...["run", name, "export.yaml", "out", `export.from=${from}`, `export.format=${format}`],
    `export.output=${name}`,
  ]);

place.file("import.yaml", 'job: data/import\nimport: { files: ["???"] }\n');
place.file("export.yaml", "job: data/export\nexport: { from: a, output: b }\n");

test("llm.c: documents begin with the end token, and the same files come back", async () => {
  const train = [END, 1, 2, 3, END, 4, END, 5, 6];
  place.file("fineweb_train_000001.bin", llmc(train));
  place.file("fineweb_train_000002.bin", llmc([7, END, 8]));
  place.file("fineweb_val_000000.bin", llmc([END, 9]));
  const { code, stderr } = await bring("fineweb", "['fineweb_*.bin']");
  expect(stderr).toContain("12 tokens to train on, 2 held out");
  expect(code).toBe(0);
  expect(startsOf("fineweb", "train")).toEqual([0, 4, 6, 9]);
  // A shard of llm.c may begin within a document.
  expect(startsOf("fineweb", "train", 1)).toEqual([0, 1, 3]);
  expect(startsOf("fineweb", "validation")).toEqual([0, 2]);
  await TokenFolder.open(join(place.path, "out/data/fineweb")).verify();
  expect((await send("back", "fineweb", "llmc")).code).toBe(0);
  const back = (name: string) => readFileSync(join(place.path, "back", name));
  expect(Buffer.compare(back("fineweb_train_000000.bin"), Buffer.from(llmc(train)))).toBe(0);
  expect(Buffer.compare(back("fineweb_val_000000.bin"), Buffer.from(llmc([END, 9])))).toBe(0);
  expect((await send("back", "fineweb", "llmc")).code).toBe(5);
});

test("llm.c with tokens of four bytes", async () => {
  const tokens = [100257, 1, 100000, 100257, 5];
  place.file("wide_train_0.bin", llmc(tokens, 20240801, 7));
  expect((await bring("wide", "[wide_train_0.bin]", "import.tokenizer=cl100k_base")).code).toBe(0);
  expect(startsOf("wide", "train")).toEqual([0, 3, 5]);
  await send("wide-back", "wide", "llmc");
  const back = readFileSync(join(place.path, "wide-back/wide_train_000000.bin"));
  expect(Buffer.compare(back, Buffer.from(llmc(tokens, 20240801, 7)))).toBe(0);
  const narrow = await send("wide-nano", "wide", "nanogpt");
  expect([narrow.code, narrow.stderr]).toEqual([
    6,
    expect.stringContaining("export them for llm.c"),
  ]);
});

test("nanoGPT: documents end with the end token; meta.pkl has the size of the vocabulary", async () => {
  const train = [1, 2, END, 3, END, 4];
  place.file("nano/train.bin", nanogpt(train));
  place.file("nano/val.bin", nanogpt([5, END]));
  expect((await bring("nano", "[nano/train.bin, nano/val.bin]")).code).toBe(0);
  expect(startsOf("nano", "train")).toEqual([0, 3, 5, 6]);
  expect(startsOf("nano", "validation")).toEqual([0, 2]);
  expect((await send("nano-back", "nano", "nanogpt")).code).toBe(0);
  const back = (name: string) => readFileSync(join(place.path, "nano-back", name));
  expect(Buffer.compare(back("train.bin"), Buffer.from(nanogpt(train)))).toBe(0);
  expect(Buffer.compare(back("val.bin"), Buffer.from(nanogpt([5, END])))).toBe(0);
  // pickle.load gives {"vocab_size": 50257}
  expect(back("meta.pkl").toString("hex")).toBe(
    "80027d580a000000766f6361625f73697a654a51c40000732e",
  );
});

test("what is no such file, or of another tokenizer", async () => {
  place.file("odd.bin", new Uint8Array(3));
  place.file("cut_train.bin", llmc([1, 2, 3]).slice(0, -2));
  place.file("old_train.bin", llmc([1], 20240520, 3));
  place.file("large_train.bin", nanogpt([60000]));
  const of = async (file: string) => {
    const { code, stderr } = await bring(`x-${file}`, `[${file}]`);
    return [code, stderr];
  };
  expect(await of("odd.bin")).toEqual([6, expect.stringContaining("3 bytes are neither")]);
  expect(await of("cut_train.bin")).toEqual([
    6,
    expect.stringContaining("says 3 tokens (1030 bytes)"),
  ]);
  expect(await of("old_train.bin")).toEqual([6, expect.stringContaining("version 3, expected 1")]);
  expect(await of("large_train.bin")).toEqual([
    6,
    expect.stringContaining("holds the token 60000, but gpt2 has 50257"),
  ]);
  expect(await of("none.bin")).toEqual([3, expect.stringContaining("there is no file none.bin")]);
  expect((await bring("fineweb2", "[nano/train.bin]", "import.output=fineweb")).code).toBe(5);
});
