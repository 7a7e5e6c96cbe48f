/** @file Windows of a stream whose documents are kept apart, and windows across the edges of shards. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newBatch } from "../../src/data/batch.ts";
import { StreamHeldOut, StreamSampler, WindowWriter } from "../../src/data/samples/windows.ts";
import { TokenFolder } from "../../src/data/shards/token_folder.ts";
import { MemoryStore } from "../../src/data/store.ts";
import { documentsOf, writeFolder } from "./write_folder.ts";

const root = mkdtempSync(join(tmpdir(), "theseus-windows-"));
afterAll(() => rmSync(root, { recursive: true }));

const shards = [documentsOf([5, 1, 7]), documentsOf([0, 13], 9), documentsOf([4, 3, 11], 50)];
const path = writeFolder(join(root, "stream"), { train: shards, validation: shards });
const store = TokenFolder.open(path).store("train");
const documents = shards.flat();
const ids = documents.flat();
const owners = documents.flatMap((document, i) => document.map(() => i));

test("every window that there is, documents kept apart", () => {
  const length = 10;
  const writer = new WindowWriter(store, length, true);
  for (let start = 0; start < ids.length - 1; start++) {
    const count = Math.min(length, ids.length - 1 - start);
    const batch = newBatch(1, length);
    writer.write(start, count, batch, 0);
    for (let i = 0; i < count; i++) {
      const token = start + i;
      const first = Math.max(start, owners.indexOf(owners[token] ?? -1)) - start;
      expect(batch.tokens[i]).toBe(ids[token] ?? -1);
      expect(batch.documents[i]).toBe(first);
      expect(batch.positions[i]).toBe(i - first);
      const inside = owners[token + 1] === owners[token];
      expect(batch.targets[i]).toBe(inside ? (ids[token + 1] ?? -1) : -1);
    }
    for (let i = count; i < length; i++) {
      const { tokens, targets, documents: starts, positions } = batch;
      expect([tokens[i], targets[i], starts[i], positions[i]]).toEqual([0, -1, count, i - count]);
    }
  }
});

test("a stream in shards gives the samples of the same tokens in one piece", () => {
  const options = { length: 8, seed: 11, source: 0, separate: false };
  const inShards = new StreamSampler(store, options);
  const inOne = new StreamSampler(new MemoryStore("it", Uint16Array.from(ids)), options);
  expect(inShards.perEpoch).toBe(inOne.perEpoch);
  for (let sample = 0; sample < 30; sample++) {
    const [a, b] = [newBatch(1, 8), newBatch(1, 8)];
    inShards.fill(sample, a, 0);
    inOne.fill(sample, b, 0);
    expect(a).toEqual(b);
  }
});

test("the same data twice in a mixture is read in two orders", () => {
  const options = { length: 4, seed: 11, separate: false };
  const places = [0, 1].map((source) => {
    const sampler = new StreamSampler(store, { ...options, source });
    return Array.from({ length: sampler.perEpoch }, (_, i) => sampler.place(i).token);
  });
  expect(places[0]).not.toEqual(places[1] ?? []);
});

test("held-out windows predict every token but the first of a document, once", () => {
  const heldOut = new StreamHeldOut(TokenFolder.open(path).store("validation"), 10, true);
  const batch = newBatch(heldOut.rows, 10);
  for (let row = 0; row < heldOut.rows; row++) heldOut.fill(row, batch, row);
  const kept = [...batch.targets].filter((target) => target !== -1);
  // A window that begins inside a document predicts what comes after its own first token.
  const expected = ids.filter((_, i) => i > 0 && owners[i] === owners[i - 1]);
  expect(kept).toEqual(expected);
});
