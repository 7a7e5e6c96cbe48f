/** @file Records of every format; ranges own each line once; whatever is bad is told with its line. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { formatOf } from "../../../src/data/sources/format.ts";
import { PieceReader } from "../../../src/data/sources/read_piece.ts";
import { sectionEnd } from "../../../src/data/sources/read_text.ts";
import type { Piece, ReadOptions, SourceFile } from "../../../src/data/sources/source_file.ts";
import { DataError, UserError } from "../../../src/util/errors.ts";
import { Folder, OPTIONS, readAll, readable, textsOf } from "./files.ts";

const WHOLE: Piece = { file: 0, kind: "whole" };
const FIXTURES = join(import.meta.dir, "../../fixtures/sources");

test("formats by name", () => {
  expect(formatOf("a/b.JSONL.gz")).toEqual({ content: "jsonl", compression: "gzip" });
  expect(formatOf("b.txt.zst")).toEqual({ content: "txt", compression: "zstd" });
  expect(formatOf("b.parquet")).toEqual({ content: "parquet", compression: "none" });
  for (const name of ["b.csv", "b", "b.gz", "b.parquet.gz", "b.tar.gz"])
    expect(formatOf(name)).toBeUndefined();
});

/** All texts of the ranges of a size, read by readers that take every `step`-th range. */
async function byRanges(file: SourceFile, size: number, step: number, options: ReadOptions) {
  const parts: unknown[][] = [];
  for (let first = 0; first < step; first++) {
    const reader = new PieceReader([file], options);
    for (let index = first; ; index += step) {
      const piece: Piece = {
        ...{ kind: "range", file: 0 },
        start: index * size,
        end: (index + 1) * size,
      };
      const texts: unknown[] = [];
      for await (const { items } of reader.batches(piece, null))
        for (const item of items) if ("value" in item) texts.push(readable(item.value.text));
      parts[index] = texts;
      const beyond = index * size > 4000;
      expect(await reader.endOf(piece)).toBe(beyond || (await reader.endOf(piece)));
      if (beyond) break;
    }
    await reader.close();
  }
  return parts.flat();
}

test.each(["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.txt"])(
  "ranges of %s own every line once, wherever they touch",
  async (name) => {
    using folder = new Folder();
    const texts = Array.from({ length: 60 }, (_, i) => `${i} ${"é✓".repeat((i * 7) % 9)}`);
    const lines = texts.map((text) => (name.endsWith("txt") ? text : JSON.stringify({ text })));
    for (const end of ["\n", ""]) {
      const file = folder.file(name, lines.join("\n") + end);
      const options: ReadOptions = { ...OPTIONS, txtDocuments: "line" };
      for (const size of [1, 7, 64, 100, 1000, 5000])
        for (const step of size < 7 ? [1] : [1, 3])
          expect(await byRanges(file, size, step, options)).toEqual(texts);
    }
  },
);

test("reading goes on after any batch", async () => {
  using folder = new Folder();
  const texts = Array.from({ length: 5000 }, (_, i) => `text ${i} ${"x".repeat(i % 700)}`);
  const body = texts.map((text) => JSON.stringify({ text })).join("\n");
  for (const file of [folder.file("a.jsonl", body), folder.file("a.jsonl.zst", body)]) {
    const all = await readAll(file, {}, WHOLE, null, false);
    const ends = [...new Set(all.map(({ next }) => next))];
    expect(ends.length).toBeGreaterThan(1);
    for (const from of ends.slice(0, 3)) {
      const rest = await readAll(file, {}, WHOLE, from, false);
      expect(textsOf(rest)).toEqual(textsOf(all.filter(({ next }) => next > from)));
    }
  }
});

test("bad lines of JSON, each with its line; blank ones are none", async () => {
  using folder = new Folder();
  const body = Buffer.concat([
    Buffer.from('\uFEFF{"text":"one"}\r\n\r\n{"text": \n[1]\n"two"\n   \n'),
    Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d, 0x0a]),
    Buffer.from('{"text":"é"}'),
  ]);
  for (const name of ["b.jsonl", "b.jsonl.gz"]) {
    const seen = await readAll(folder.file(name, body));
    expect(seen.map(({ line }) => line)).toEqual([1, 3, 4, 5, 7, 8]);
    expect(textsOf(seen)).toEqual(["one", undefined, undefined, undefined, undefined, "é"]);
    expect(seen.map(({ bad }) => bad)).toEqual([
      undefined,
      expect.stringContaining("expected a JSON object on the line: "),
      "expected a JSON object on the line, got an array",
      "expected a JSON object on the line, got a string",
      "expected UTF-8 on the line",
      undefined,
    ]);
  }
});

test("a line that is too long is passed over without being held", async () => {
  using folder = new Folder();
  const long = JSON.stringify({ text: "x".repeat(40 * 2 ** 20) });
  const body = `{"text":"before"}\n${long}\n{"text":"after"}\n`;
  for (const name of ["c.jsonl", "c.jsonl.zst"]) {
    const file = folder.file(name, body);
    const seen = await readAll(file);
    expect(seen.map(({ line }) => line)).toEqual([1, 2, 3]);
    expect(textsOf(seen)).toEqual(["before", undefined, "after"]);
    expect(seen[1]?.bad).toContain("a line of 40.0 MiB: expected at most 1 (source.max_record_mb)");
  }
});

test("a long line among short ones of one block", async () => {
  using folder = new Folder();
  const texts = ["a", "b".repeat(100), "c", "d".repeat(99), "e"];
  const file = folder.file("d.txt", texts.join("\n"));
  const seen = await readAll(file, { txtDocuments: "line", maxRecordBytes: 50 });
  expect(textsOf(seen)).toEqual(["a", undefined, "c", undefined, "e"]);
  expect(seen.map(({ line }) => line)).toEqual([1, 2, 3, 4, 5]);
});

test.each(["gz", "zst"])("a .%s that was cut off, or is something else", async (end) => {
  using folder = new Folder();
  const body = Array.from({ length: 20000 }, (_, i) => `{"text":"${(i * 7919) % 100003}"}\n`).join(
    "",
  );
  const whole = readFileSync(folder.file(`e.jsonl.${end}`, body).path);
  for (const cut of [whole.length - 1, whole.length >> 1, 20]) {
    const error = await readAll(folder.raw(`e.jsonl.${end}`, whole.subarray(0, cut))).catch(
      (e) => e,
    );
    if (!(error instanceof DataError)) throw error;
    expect(error.message).toContain("ends early: it was cut off");
    expect(error.place.path).toEndWith(`e.jsonl.${end}`);
  }
  const other = await readAll(folder.raw(`f.jsonl.${end}`, Buffer.from("no archive"))).catch(
    (e) => e,
  );
  if (!(other instanceof DataError)) throw other;
  expect(other.message).toContain("is damaged");
  expect(await readAll(folder.raw(`g.jsonl.${end}`, new Uint8Array(0)))).toEqual([]);
});

test("a .txt file is one document, or what lines and blank lines make of it", async () => {
  using folder = new Folder();
  const file = folder.file("a.txt", "\uFEFFone\ntwo\n\n  \n\nthree\r\n\r\nfour\n");
  expect(textsOf(await readAll(file))).toEqual(["one\ntwo\n\n  \n\nthree\r\n\r\nfour\n"]);
  const lines = await readAll(folder.file("l.txt", "one\n\ntwo\r\n three"), {
    txtDocuments: "line",
  });
  expect(textsOf(lines)).toEqual(["one", "two", " three"]);
  const blank = await readAll(file, { txtDocuments: "blank_line" });
  expect(textsOf(blank)).toEqual(["one\ntwo\n", "three\r\n", "four\n"]);
  const empty = await readAll(folder.file("b.txt", " \n"));
  expect(empty[0]?.bad).toBe("an empty document: expected text");
  expect((await readAll(folder.file("c.txt", "")))[0]?.bad).toBeDefined();
});

test("a long .txt file comes in sections that join to the same", async () => {
  using folder = new Folder();
  const text = Array.from(
    { length: 200_000 },
    (_, i) => `line ${i} of many words, ${"é".repeat(i % 20)}`,
  )
    .join("\n")
    .concat("\n");
  const file = folder.file("long.txt", text);
  const seen = await readAll(file);
  expect(seen.length).toBeGreaterThan(2);
  expect(textsOf(seen).join("")).toBe(text);
  const rest = await readAll(file, {}, { file: 0, kind: "whole" }, seen[0]?.next ?? 0);
  expect(textsOf(rest)).toEqual(textsOf(seen).slice(1));
  const noBreak = new TextEncoder().encode("é".repeat(100));
  expect(sectionEnd(noBreak, 51)).toBe(50);
  expect(sectionEnd(new TextEncoder().encode("aa bb\n cc\ndd ee"), 12)).toBe(10);
});

test.each(["none", "snappy", "gzip", "zstd", "brotli", "lz4", "v2"])(
  "parquet: %s",
  async (kind) => {
    using folder = new Folder();
    const file = folder.raw("a.parquet", readFileSync(join(FIXTURES, `flat-${kind}.parquet`)));
    const seen = await readAll(file, { columns: ["text"] });
    expect(seen.length).toBe(100);
    expect(textsOf(seen)[8]).toBe(`document 8: ${"wörter ✓ ".repeat(1)}`);
    expect(
      textsOf(seen)
        .slice(39, 44)
        .map((text) => String(text).slice(0, 12)),
    ).toEqual([...["document 39:", "said again", "said again", "said again", "document 43:"]]);
    expect(seen.map(({ line }) => line)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
    const whole = await readAll(file);
    expect(whole[7]?.value).toEqual({ id: 7, text: "document 7: ", score: 3.5 });
    const piece: Piece = { kind: "groups", file: 0, first: 1, last: 3 };
    expect(textsOf(await readAll(file, { columns: ["text"] }, piece))).toEqual(
      textsOf(seen).slice(30, 90),
    );
    const from = await readAll(file, { columns: ["text"] }, piece, 37);
    expect(textsOf(from)).toEqual(textsOf(seen).slice(37, 90));
  },
);

test("parquet with gaps, with lists, cut off, damaged, or without the column", async () => {
  using folder = new Folder();
  const gaps = folder.raw("g.parquet", readFileSync(join(FIXTURES, "gaps.parquet")));
  expect(textsOf(await readAll(gaps, { columns: ["text"] }))).toEqual([
    ...["one", undefined, "", "four", undefined],
  ]);
  const bytes = readFileSync(join(FIXTURES, "chats.parquet"));
  const chats = await readAll(folder.raw("c.parquet", bytes));
  expect(chats.length).toBe(10);
  expect(chats[5]?.value).toEqual({
    messages: [
      { role: "user", content: "question 5" },
      { role: "assistant", content: "answer 5" },
    ],
  });
  const cut = await readAll(folder.raw("c.parquet", bytes.subarray(0, -9))).catch((e) => e);
  if (!(cut instanceof DataError)) throw cut;
  expect(cut.message).toContain("ends with PAR1");
  const flat = readFileSync(join(FIXTURES, "flat-zstd.parquet"));
  flat.fill(0xaa, 300, 600);
  const damaged = await readAll(folder.raw("d.parquet", flat)).catch((e) => e);
  if (!(damaged instanceof DataError)) throw damaged;
  expect(damaged.message).toContain("row group 1");
  const column = await readAll(gaps, { columns: ["body"] }).catch((e) => e);
  if (!(column instanceof UserError)) throw column;
  expect(column.message).toContain("has no column body; it has text");
  expect(column.code).toBe("config");
});
