/** @file The order of samples is a pure function of seed and index. */
import { expect, test } from "bun:test";
import { newBatch, TrainLoader, ValidationLoader } from "../../src/data/loader.ts";
import { Permutation } from "../../src/data/permutation.ts";

const tokens = Uint16Array.from({ length: 1003 }, (_, i) => i);

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
  const one = new TrainLoader(tokens, length, 5);
  const large = newBatch(6, length);
  one.fill(large, 300);
  for (let row = 5; row >= 0; row--) {
    const small = newBatch(1, length);
    new TrainLoader(tokens, length, 5).fill(small, 300 + row);
    expect(small.tokens).toEqual(large.tokens.slice(row * length, (row + 1) * length));
    expect(small.targets).toEqual(small.tokens.map((t) => t + 1));
  }
  const again = newBatch(6, length);
  one.fill(newBatch(6, length), 0);
  one.fill(again, 300);
  expect(again).toEqual(large);
});

test("an epoch visits every window once, the next one at another offset and in another order", () => {
  const loader = new TrainLoader(tokens, 8, 5);
  const n = loader.windowsPerEpoch;
  const starts = Array.from({ length: 2 * n }, (_, i) => loader.start(i));
  for (const epoch of [starts.slice(0, n), starts.slice(n)]) {
    expect(new Set(epoch).size).toBe(n);
    expect(new Set(epoch.map((s) => s % 8)).size).toBe(1);
    expect(Math.max(...epoch) + 8 + 1).toBeLessThanOrEqual(tokens.length);
  }
  expect(starts.slice(0, n)).not.toEqual(starts.slice(n));
  expect(new TrainLoader(tokens, 8, 6).start(0)).not.toBe(starts[0]);
});

test("validation predicts every token after the first exactly once", () => {
  const loader = new ValidationLoader(tokens, 8, 4, 0);
  const predicted: number[] = [];
  for (let i = 0; i < loader.batches; i++) {
    const batch = newBatch(4, 8);
    const targets = loader.fill(batch, i);
    const kept = [...batch.targets].filter((t) => t !== -1);
    expect(kept).toEqual([...targets]);
    predicted.push(...kept);
  }
  expect(predicted).toEqual(Array.from(tokens.slice(1)));
  const some = new ValidationLoader(tokens, 8, 4, 3);
  expect(some.batches).toBe(3);
  const firsts = [0, 1, 2].map((i) => some.fill(newBatch(4, 8), i)[0]);
  expect(firsts).toEqual([1, 10 * 32 + 1, 21 * 32 + 1]);
  expect(new ValidationLoader(tokens, 8, 4, 1000).batches).toBe(32);
});

test("too little text", () => {
  expect(() => new TrainLoader(tokens.slice(0, 16), 8, 0)).toThrow(
    "the text has 16 tokens, expected at least 17 for a context of 8",
  );
  expect(new TrainLoader(tokens.slice(0, 17), 8, 0).windowsPerEpoch).toBe(1);
});
