/** @file Folders of tokens: what is read is what was written, and what does not fit is refused with the file's name. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Pairs } from "../../src/data/shards/pairs.ts";
import { parseIndex } from "../../src/data/shards/read_index.ts";
import { TokenFolder } from "../../src/data/shards/token_folder.ts";
import { documentAt, type TokenStore } from "../../src/data/store.ts";
import { DataError } from "../../src/util/errors.ts";
import { documentsOf, type FolderOptions, writeFolder } from "./write_folder.ts";

const root = mkdtempSync(join(tmpdir(), "theseus-shards-"));
afterAll(() => rmSync(root, { recursive: true }));
let made = 0;
const folder = (options: FolderOptions): string => writeFolder(join(root, `f${made++}`), options);

const read = (store: TokenStore, start: number, count: number): number[] => {
  const target = new Int32Array(count);
  store.read(start, target);
  return [...target];
};

describe("tokens of several shards", () => {
  const shards = [documentsOf([5, 1, 7]), documentsOf([3], 9), [], documentsOf([4, 0, 6], 50)];
  const all = shards.flat();
  const ids = all.flat();
  for (const dtype of ["u8", "u16", "u32"] as const)
    test(`every stretch of ${dtype}, across the edges too`, () => {
      const path = folder({ dtype, train: shards, validation: [documentsOf([9])] });
      const store = TokenFolder.open(path).store("train");
      expect(store).toMatchObject({ length: ids.length, documentCount: 7, masked: false });
      for (let start = 0; start < ids.length; start++)
        for (let count = 0; start + count <= ids.length; count++)
          expect(read(store, start, count)).toEqual(ids.slice(start, start + count));
      expect(() => read(store, ids.length - 1, 2)).toThrow("internal");
    });

  test("where documents start, and which one a token belongs to", () => {
    const store = TokenFolder.open(folder({ train: shards })).store("train");
    const lengths = all.map((document) => document.length);
    const starts = lengths.map((_, i) => lengths.slice(0, i).reduce((a, b) => a + b, 0));
    expect(starts.map((_, i) => store.documentStart(i))).toEqual(starts);
    expect(store.documentStart(7)).toBe(ids.length);
    const owners = all.flatMap((document, i) => document.map(() => i));
    expect(ids.map((_, token) => documentAt(store, token))).toEqual(owners);
  });

  test("masks follow their shards", () => {
    const masked = [
      [
        [~1, ~2, 3, 4],
        [~5, 6],
      ],
      [[7, ~8, 9]],
    ];
    const store = TokenFolder.open(folder({ masked: true, train: masked })).store("train");
    expect(read(store, 0, 9)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    const mask = new Uint8Array(9);
    store.readMask(0, mask);
    expect([...mask]).toEqual([0, 0, 1, 1, 0, 1, 1, 0, 1]);
  });

  test("more shards than files may be open at a time", () => {
    const many = Array.from({ length: 150 }, (_, i) => [[i, i + 1, i + 2]]);
    const store = TokenFolder.open(folder({ train: many })).store("train");
    expect(read(store, 0, 450)).toEqual(many.flat(2));
    expect(read(store, 3, 3)).toEqual([1, 2, 3]);
  });
});

test("pairs", () => {
  const path = folder({
    kind: "pairs",
    masked: true,
    train: [
      [
        [~1, 2, 3],
        [~1, 4],
      ],
      [[~5, 6], [~5]],
    ],
  });
  const pairs = new Pairs(TokenFolder.open(path).store("train"));
  expect(pairs.count).toBe(2);
  expect(pairs.pair(0)).toEqual({
    chosen: { tokens: Int32Array.of(1, 2, 3), mask: Uint8Array.of(0, 1, 1) },
    rejected: { tokens: Int32Array.of(1, 4), mask: Uint8Array.of(0, 1) },
  });
  expect(pairs.pair(1).rejected).toEqual({ tokens: Int32Array.of(5), mask: Uint8Array.of(0) });
});

describe("damage", () => {
  const sound = () =>
    folder({ train: [documentsOf([50, 60]), documentsOf([70], 3)], masked: true });

  test("a flipped byte in any file is found and the file named", async () => {
    const path = sound();
    await TokenFolder.open(path).verify();
    for (const name of ["train-00000.tokens", "train-00001.starts", "train-00001.mask"]) {
      const bytes = readFileSync(join(path, name));
      const before = Buffer.from(bytes);
      bytes[3] = (bytes[3] ?? 0) ^ 1;
      writeFileSync(join(path, name), bytes);
      const found = TokenFolder.open(path).verify();
      await expect(found).rejects.toThrow(`${join(path, name)} is damaged`);
      await expect(found).rejects.toMatchObject({ code: "data" });
      writeFileSync(join(path, name), before);
    }
  });

  test("files that are missing, cut short or too long", () => {
    const path = sound();
    const file = join(path, "train-00001.tokens");
    truncateSync(file, 100);
    expect(() => TokenFolder.open(path)).toThrow(`${file} has 100 bytes, expected 140`);
    truncateSync(file, 141);
    expect(() => TokenFolder.open(path)).toThrow("has 141 bytes");
    rmSync(file);
    expect(() => TokenFolder.open(path)).toThrow(`${file} is missing`);
  });

  test("a file that shrinks while it is read is an error with its name", () => {
    const path = sound();
    const store = TokenFolder.open(path).store("train");
    truncateSync(join(path, "train-00001.tokens"), 100);
    expect(() => read(store, 110, 70)).toThrow("train-00001.tokens ends at byte 100");
  });

  test("starts that go back, or do not cover the shard", () => {
    for (const starts of [
      [0n, 60n, 50n],
      [1n, 50n, 110n],
      [0n, 50n, 109n],
      [0n, 2n ** 40n, 110n],
    ]) {
      const path = sound();
      const file = join(path, "train-00000.starts");
      writeFileSync(file, new Uint8Array(BigUint64Array.from(starts).buffer));
      const store = TokenFolder.open(path).store("train");
      expect(() => store.documentStart(0)).toThrow(`${file}: document`);
    }
  });
});

describe("index.json", () => {
  const base = folder({ train: [documentsOf([50, 60])], masked: true });
  const index = JSON.parse(readFileSync(join(base, "index.json"), "utf8"));
  const changed = (change: (copy: typeof index) => void): (() => TokenFolder) => {
    const copy = structuredClone(index);
    change(copy);
    return () => {
      writeFileSync(join(base, "index.json"), JSON.stringify(copy));
      return TokenFolder.open(base);
    };
  };
  const shard = (copy: typeof index) => copy.splits.train[0];
  const cases: [string, (copy: typeof index) => void, string][] = [
    ["unknown key", (c) => (c.more = 1), "more: expected only the keys format, version"],
    [
      "missing split",
      (c) => delete c.splits.validation,
      "splits.validation: expected a list, got nothing",
    ],
    ["version", (c) => (c.version = 2), "version: expected 1, all that this program reads, got 2"],
    ["other format", (c) => (c.format = "x"), "is not the index of a folder of tokens"],
    ["kind", (c) => (c.kind = "row"), 'kind: expected stream or rows or pairs, got "row"'],
    ["dtype", (c) => (c.dtype = "i8"), 'dtype: expected u8 or u16 or u32, got "i8"'],
    [
      "negative",
      (c) => (shard(c).token_count = -1),
      "token_count: expected an integer >= 0, got -1",
    ],
    ["fraction", (c) => (shard(c).text_bytes = 0.5), "text_bytes: expected an integer"],
    [
      "bytes",
      (c) => (shard(c).tokens.bytes = 221),
      "tokens.bytes: expected 220, by the counts, got 221",
    ],
    ["starts", (c) => (shard(c).document_count = 3), "starts.bytes: expected 32"],
    [
      "outside",
      (c) => (shard(c).tokens.file = "../x"),
      "expected the name of a file beside index.json",
    ],
    ["twice", (c) => (shard(c).mask.file = shard(c).tokens.file), "every file once"],
    ["trained", (c) => (shard(c).trained_count = 111), "trained_count"],
    ["vocabulary", (c) => (c.tokenizer.vocab_size = 70000), "at most 65536, which the dtype holds"],
    ["null", (c) => (c.tokenizer = null), "tokenizer: expected a map, got null"],
    ["counts", (c) => (c.counts = { lines: "many" }), "counts.lines: expected an integer"],
  ];
  for (const [name, change, message] of cases)
    test(name, () => {
      expect(changed(change)).toThrow(message);
      expect(changed(change)).toThrow(join(base, "index.json"));
    });

  test("any value in any place is either sound or refused in words", () => {
    const values = [null, -1, 0.5, 2 ** 60, "", "x", [], {}, true, [null], { file: 1 }];
    const places: [Record<string, unknown>, string][] = [];
    const copy = structuredClone(index);
    const visit = (node: Record<string, unknown>): void => {
      for (const key of Object.keys(node)) {
        places.push([node, key]);
        const value = node[key];
        if (typeof value === "object" && value !== null) visit(value as typeof node);
      }
    };
    visit(copy);
    expect(places.length).toBeGreaterThan(25);
    for (const [node, key] of places)
      for (const value of values) {
        const before = node[key];
        node[key] = value;
        try {
          expect(parseIndex(JSON.stringify(copy), "it").format).toBe("theseus-tokens");
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
        node[key] = before;
      }
    expect(copy).toEqual(index);
    for (const text of ["null", "5", "[]", '"x"'])
      expect(() => parseIndex(text, "it")).toThrow(DataError);
  });

  test("pairs of an odd number", () => {
    expect(() =>
      TokenFolder.open(folder({ kind: "pairs", train: [documentsOf([2, 3, 4])] })),
    ).toThrow("expected two documents a pair, got");
  });

  test("no folder, no index, no JSON", () => {
    expect(() => TokenFolder.open(join(root, "none"))).toThrow("none does not exist");
    expect(() => TokenFolder.open(root)).toThrow("it holds no index.json");
    expect(() => TokenFolder.open(join(base, "index.json"))).toThrow("is not a folder of tokens");
    writeFileSync(join(base, "index.json"), "{");
    expect(() => TokenFolder.open(base)).toThrow("not JSON");
  });
});
