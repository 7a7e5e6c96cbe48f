/** @file A .json that holds one array: its records, whatever stands in them, and what is wrong with it, by the number of the record. */
import { expect, test } from "bun:test";
import { DataError } from "../../../src/util/errors.ts";
import { Folder, readAll, textsOf } from "./files.ts";

const texts = Array.from({ length: 3000 }, (_, i) => {
  const odd = ['"', "\\", "]", "}", "[{,", "é", "👋", '\\"', "\n"][i % 9];
  return `${i} ${odd} ${"x".repeat((i * 37) % 900)}`;
});
const records = texts.map((text, i) => ({ text, more: { list: [i, [], {}], none: null } }));
const BODIES: Readonly<Record<string, string>> = {
  "one line": JSON.stringify(records),
  indented: `\ufeff \n${JSON.stringify(records, null, 2)}\n\n`,
};

for (const [what, body] of Object.entries(BODIES))
  for (const name of ["a.json", "a.json.gz", "a.json.zst"])
    test(`${name}, ${what}: every record once, and from anywhere on`, async () => {
      using folder = new Folder();
      const file = folder.file(name, body);
      expect(file.content).toBe("json_array");
      const all = await readAll(file, {}, undefined, null, false);
      expect(textsOf(all)).toEqual(texts);
      const ends = [...new Set(all.map(({ next }) => next))];
      expect(ends.length).toBeGreaterThan(1);
      for (const from of [ends[0], ends[ends.length >> 1], ends.at(-1)]) {
        if (from === undefined) continue;
        const rest = await readAll(file, {}, undefined, from, false);
        expect(textsOf(rest)).toEqual(textsOf(all.filter(({ next }) => next > from)));
      }
    });

test("lines of JSON stay lines whatever the file is called", () => {
  using folder = new Folder();
  for (const name of ["l.json", "l.json.gz", "l.json.zst"])
    expect(folder.file(name, '{"text":"a"}\n{"text":"b"}\n').content).toBe("jsonl");
  expect(folder.file("l.jsonl", "[]").content).toBe("jsonl");
});

test("bad records, each with its number", async () => {
  using folder = new Folder();
  const long = JSON.stringify({ text: "x".repeat(5000) });
  const body = `[{"text":"a"}, 7 ,null,"]",[1],{"text" 1},${long}, {"text":"b"}]`;
  const seen = await readAll(folder.file("b.json", body), { maxRecordBytes: 4096 });
  expect(seen.map(({ line }) => line)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  expect(textsOf(seen)).toEqual(["a", ...new Array(6).fill(undefined), "b"]);
  expect(seen.map(({ bad }) => bad ?? "")).toEqual([
    "",
    "expected a JSON object, got a number",
    "expected a JSON object, got null",
    "expected a JSON object, got a string",
    "expected a JSON object, got an array",
    expect.stringContaining("expected a JSON object: "),
    expect.stringContaining("a record of 0.0 MiB: expected at most"),
    "",
  ]);
});

test.each([
  ["[]", null],
  ["[ \n]\n", null],
  ['[{"text":"a"}', "ends before its array does: it was cut off (byte 13)"],
  ['[{"text":"a"},', "ends before its array does"],
  ['[{"text":"a"}, {"te', "ends before its array does"],
  ['[{"text":"a"} {"text":"b"}]', "has no comma between two records (byte 14)"],
  ['[{"text":"a"},]', "lacks a record (byte 14)"],
  ['[,{"text":"a"}]', "lacks a record (byte 1)"],
  ['[{"text":"a"}] x', "goes on after its array (byte 15)"],
])("%s", async (body, why) => {
  using folder = new Folder();
  const error = await readAll(folder.file("c.json", body)).then(
    () => null,
    (e) => e,
  );
  if (why === null) return expect(error).toBeNull();
  expect(error).toBeInstanceOf(DataError);
  expect(error.message).toContain(why);
});

test("a file that was cut off stays one for who goes on", async () => {
  using folder = new Folder();
  const file = folder.file("d.json", '[{"text":"a"}');
  expect(await readAll(file, {}, undefined, 13).catch((e) => e)).toBeInstanceOf(DataError);
  const whole = folder.file("e.json", '[{"text":"a"}]');
  expect(await readAll(whole, {}, undefined, 13)).toEqual([]);
});
