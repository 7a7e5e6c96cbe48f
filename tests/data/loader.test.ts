/** @file The order of samples is a pure function of seed and index. */
import { expect, test } from "bun:test";
import { newBatch } from "../../src/data/batch.ts";
import { DirectLoader, ValidationLoader } from "../../src/data/loader.ts";
import { Permutation } from "../../src/data/permutation.ts";
import { StreamHeldOut, StreamSampler } from "../../src/data/samples/windows.ts";
import { MemoryStore } from "../../src/data/store.ts";

const tokens = Uint16Array.from({ length: 1003 }, (_, i) => i);

const sampler = (length: number, seed: number, of = tokens) =>
  new StreamSampler(new MemoryStore("the text", of), { length, seed, source: 0, separate: false });
const heldOut = (limit: number) =>
  new ValidationLoader(new StreamHeldOut(new MemoryStore("it", tokens), 8, false), 4, limit);

test.each([1, 2, 3, 7, 64, 100, 1000])("a permutation of %d numbers", (count) => {
  const order = new Permutation(count, [1, 2]);
  const seen = new Set(Array.from({ length: count }, (_, i) => order.at(i)));
  expect(seen.size).toBe(count);
  expect(Math.max(...seen)).toBe(count - 1);
  expect(Math.min(...seen)).toBe(0);
});

test("another key gives another order", () => {
  const orders = [0, 1, 2, 3].map((key) => {
    const order = new Permutation(100, [key, 7]);
    return Array.from({ length: 100 }, (_, i) => order.at(i)).join();
  });
  expect(new Set(orders).size).toBe(4);
});

test("samples do not depend on the batch or on what was read before", () => {
  const length = 8;
  const large = new DirectLoader(sampler(length, 5), 6, length).take(300);
  for (let row = 5; row >= 0; row--) {
    const small = new DirectLoader(sampler(length, 5), 1, length).take(300 + row);
    expect(small.tokens).toEqual(large.tokens.slice(row * length, (row + 1) * length));
    expect(small.targets).toEqual(small.tokens.map((t) => t + 1));
  }
  const one = new DirectLoader(sampler(length, 5), 6, length);
  one.take(0);
  expect(one.take(300)).toEqual(large);
});

test("an epoch visits every window once, the next one at another offset and in another order", () => {
  const loader = sampler(8, 5);
  const n = loader.perEpoch;
  const starts = Array.from({ length: 2 * n }, (_, i) => loader.place(i).token);
  for (const epoch of [starts.slice(0, n), starts.slice(n)]) {
    expect(new Set(epoch).size).toBe(n);
    expect(new Set(epoch.map((s) => s % 8)).size).toBe(1);
    expect(Math.max(...epoch) + 8 + 1).toBeLessThanOrEqual(tokens.length);
  }
  expect(starts.slice(0, n)).not.toEqual(starts.slice(n));
  expect(sampler(8, 6).place(0).token).not.toBe(starts[0]);
});

test("validation predicts every token after the first exactly once", () => {
  const loader = heldOut(0);
  const predicted: number[] = [];
  for (let i = 0; i < loader.batches; i++) {
    const batch = newBatch(4, 8);
    const targets = loader.fill(batch, i);
    const kept = [...batch.targets].filter((t) => t !== -1);
    expect(kept).toEqual([...targets]);
    predicted.push(...kept);
  }
  expect(predicted).toEqual(Array.from(tokens.slice(1)));
  const some = heldOut(3);
  expect(some.batches).toBe(3);
  const firsts = [0, 1, 2].map((i) => some.fill(newBatch(4, 8), i)[0]);
  expect(firsts).toEqual([1, 10 * 32 + 1, 21 * 32 + 1]);
  expect(heldOut(1000).batches).toBe(32);
});

test("too little text", () => {
  expect(() => sampler(8, 0, tokens.slice(0, 16))).toThrow(
    "the text has 16 tokens, expected at least 17 for a context of 8",
  );
  expect(sampler(8, 0, tokens.slice(0, 17)).perEpoch).toBe(1);
});
