/** @file Packed rows: whole documents, each once an epoch, as full as they get, the same wherever one begins to read. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newBatch } from "../../src/data/batch.ts";
import { RowHeldOut, RowSampler } from "../../src/data/samples/packed_rows.ts";
import { packDocuments } from "../../src/data/samples/packing.ts";
import { TokenFolder } from "../../src/data/shards/token_folder.ts";
import type { TokenStore } from "../../src/data/store.ts";
import { type Document, documentsOf, writeFolder } from "./write_folder.ts";

const root = mkdtempSync(join(tmpdir(), "theseus-packing-"));
afterAll(() => rmSync(root, { recursive: true }));
let made = 0;
const storeOf = (...train: Document[][]): TokenStore => {
  const masked = train.flat(2).some((id) => id < 0);
  const path = writeFolder(join(root, `f${made++}`), { kind: "rows", train, masked });
  return TokenFolder.open(path).store("train");
};

let state = 1;
const random = (below: number): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
};
const LENGTH = 32;
const lengths = Array.from({ length: 400 }, () => 2 + random(LENGTH));
const store = storeOf(documentsOf(lengths.slice(0, 150)), documentsOf(lengths.slice(150)));
const options = { length: LENGTH, seed: 3, source: 0, separate: true };

describe("a packing", () => {
  test("rows hold no more than they may, and hardly less", () => {
    const { documents, items, rowStarts, empty } = packDocuments(store, LENGTH);
    const rows = rowStarts.length - 1;
    expect(new Set(items).size).toBe(400);
    expect(empty).toBe(0);
    let used = 0;
    for (let row = 0; row < rows; row++) {
      const row_items = items.subarray(rowStarts[row], rowStarts[row + 1]);
      const places = [...row_items].map((item) => (lengths[documents[item] ?? 0] ?? 0) - 1);
      const sum = places.reduce((a, b) => a + b, 0);
      expect(sum).toBeLessThanOrEqual(LENGTH);
      used += sum;
    }
    expect(used / (rows * LENGTH)).toBeGreaterThan(0.97);
  });

  test("documents that fill a row, fit together exactly, or have nothing to predict", () => {
    const rowsOf = (...sizes: number[]) => {
      const { rowStarts, empty } = packDocuments(storeOf(documentsOf(sizes)), 8);
      return [rowStarts.length - 1, empty];
    };
    expect(rowsOf(9)).toEqual([1, 0]);
    expect(rowsOf(9, 9, 2)).toEqual([3, 0]);
    expect(rowsOf(5, 5)).toEqual([1, 0]);
    expect(rowsOf(5, 6)).toEqual([2, 0]);
    expect(rowsOf(2, 2, 2, 2, 2, 2, 2, 2)).toEqual([1, 0]);
    expect(rowsOf(7, 0, 1, 3)).toEqual([1, 2]);
  });

  test("a document longer than the context is refused, never cut", () => {
    expect(() => packDocuments(storeOf(documentsOf([4, 10, 12, 9])), 8)).toThrow(
      "architecture.block_size 8 takes documents of at most 9 tokens; 2 of the 4 in",
    );
  });
});

describe("samples of rows", () => {
  const sampler = new RowSampler(store, options);
  const epoch = (number: number): number[][] =>
    Array.from({ length: sampler.perEpoch }, (_, i) =>
      sampler.documents(number * sampler.perEpoch + i),
    );

  test("an epoch holds every document once; the next brings others together", () => {
    const all = Array.from({ length: 400 }, (_, i) => i);
    const [first, second] = [epoch(0), epoch(1)];
    for (const rows of [first, second]) expect(rows.flat().sort((a, b) => a - b)).toEqual(all);
    const together = (rows: number[][]) => new Set(rows.map((row) => row.toSorted().join()));
    const [before, after] = [together(first), together(second)];
    const same = [...after].filter((row) => before.has(row)).length;
    expect(same / after.size).toBeLessThan(0.2);
    expect(epoch(0)).toEqual(first);
  });

  test("a row is its documents one after another, each with its own positions", () => {
    const batch = newBatch(2, LENGTH);
    const documents = sampler.documents(7);
    sampler.fill(7, batch, 1);
    let at = LENGTH;
    for (const document of documents) {
      const start = store.documentStart(document);
      const ids = new Int32Array(store.documentStart(document + 1) - start);
      store.read(start, ids);
      const end = at + ids.length - 1;
      expect(batch.tokens.slice(at, end)).toEqual(ids.slice(0, -1));
      expect(batch.targets.slice(at, end)).toEqual(ids.slice(1));
      expect([...batch.positions.slice(at, end)]).toEqual(Array.from(ids.slice(1), (_, i) => i));
      expect([...batch.documents.slice(at, end)]).toEqual(
        Array.from(ids.slice(1), () => at - LENGTH),
      );
      at = end;
    }
    expect([...batch.targets.slice(at)]).toEqual(Array.from({ length: 2 * LENGTH - at }, () => -1));
    expect(batch.tokens.slice(0, LENGTH).every((id) => id === 0)).toBe(true);
  });

  test("a packing that came from elsewhere gives the same samples", () => {
    const other = new RowSampler(store, options, structuredClone(sampler.packing));
    for (const sample of [0, 5, sampler.perEpoch, 1000]) {
      expect(other.documents(sample)).toEqual(sampler.documents(sample));
    }
    expect(new RowSampler(store, { ...options, seed: 4 }).documents(0)).not.toEqual(
      sampler.documents(0),
    );
  });

  test("tokens that are not trained on are no targets", () => {
    const masked = storeOf([
      [~1, ~2, 3, 4],
      [~5, 6, ~7],
    ]);
    const batch = newBatch(1, 8);
    new RowSampler(masked, { ...options, length: 8 }).fill(0, batch, 0);
    expect([...batch.tokens]).toEqual([1, 2, 3, 5, 6, 0, 0, 0]);
    expect([...batch.targets]).toEqual([-1, 3, 4, 6, -1, -1, -1, -1]);
  });

  test("held-out rows hold every document once, in a fixed order", () => {
    const heldOut = new RowHeldOut(store, LENGTH, true);
    const batch = newBatch(heldOut.rows, LENGTH);
    for (let row = 0; row < heldOut.rows; row++) heldOut.fill(row, batch, row);
    const kept = batch.targets.filter((target) => target !== -1).length;
    expect(kept).toBe(lengths.reduce((sum, length) => sum + length - 1, 0));
  });
});
