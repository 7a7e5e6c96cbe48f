/** @file Drawing tokens from logits. */
import { describe, expect, test } from "bun:test";
import { chooseToken, type SamplingOptions } from "../../src/generate/choose_token.ts";
import { likeliest } from "../../src/generate/likeliest.ts";
import { uniformSource } from "../ops/values.ts";

const logits = Float32Array.of(1, 3, 2, 3, -Infinity);

const drawWith = (options: Partial<SamplingOptions>, from = logits, draws = 2000) => {
  const counts = new Array<number>(from.length).fill(0);
  const all = { temperature: 1, topK: 0, seed: 3, ...options };
  for (let position = 0; position < draws; position++) {
    const id = chooseToken(from, all, { position });
    counts[id] = (counts[id] ?? 0) + 1;
  }
  return counts;
};
const idsOf = (counts: readonly number[]) => counts.flatMap((count, id) => (count > 0 ? [id] : []));

test("temperature 0 takes the likeliest, the lowest id among equals", () => {
  expect(drawWith({ temperature: 0 }, logits, 10)).toEqual([0, 10, 0, 0, 0]);
});

test("frequencies follow the probabilities, at any temperature", () => {
  for (const temperature of [0.5, 1, 2]) {
    const weights = [...logits].map((x) => Math.exp(x / temperature));
    const total = weights.reduce((a, b) => a + b, 0);
    drawWith({ temperature }).forEach((count, id) => {
      const p = (weights[id] ?? 0) / total;
      expect(Math.abs(count - 2000 * p)).toBeLessThanOrEqual(5 * Math.sqrt(2000 * p * (1 - p)));
    });
  }
});

test("top-k keeps the k likeliest, the lower id among equals", () => {
  expect(idsOf(drawWith({ topK: 2 }))).toEqual([1, 3]);
  expect(idsOf(drawWith({ topK: 1 }))).toEqual([1]);
  expect(idsOf(drawWith({ topK: 100 }))).toEqual([0, 1, 2, 3]);
});

describe("with probabilities 0.5, 0.25, 0.125, 0.125", () => {
  const halves = Float32Array.from([0.125, 0.5, 0.125, 0.25].map(Math.log));

  test("top-p keeps the token that reaches p", () => {
    expect(idsOf(drawWith({ topP: 0.4 }, halves))).toEqual([1]);
    expect(idsOf(drawWith({ topP: 0.51 }, halves))).toEqual([1, 3]);
    expect(idsOf(drawWith({ topP: 0.76 }, halves))).toEqual([0, 1, 3]);
    expect(idsOf(drawWith({ topP: 0 }, halves))).toEqual([1]);
  });

  test("top-p counts what top-k left", () => {
    // Of 0.5 and 0.25 the first is two thirds.
    expect(idsOf(drawWith({ topK: 2, topP: 0.6 }, halves))).toEqual([1]);
    expect(idsOf(drawWith({ topK: 2, topP: 0.7 }, halves))).toEqual([1, 3]);
  });

  test("min-p is a share of the likeliest, after the temperature", () => {
    expect(idsOf(drawWith({ minP: 0.4 }, halves))).toEqual([1, 3]);
    expect(idsOf(drawWith({ minP: 0.6 }, halves))).toEqual([1]);
    expect(idsOf(drawWith({ minP: 1 }, halves))).toEqual([1]);
    expect(idsOf(drawWith({ minP: 0.4, temperature: 2 }, halves))).toEqual([0, 1, 2, 3]);
  });

  test("a large vocabulary gives the same nucleus", () => {
    const wide = new Float32Array(5000).fill(-Infinity);
    wide.set(halves, 4000);
    expect(idsOf(drawWith({ topP: 0.51 }, wide, 500))).toEqual([4001, 4003]);
    const flat = new Float32Array(1500);
    const all = idsOf(drawWith({ topP: 0.5 }, flat, 150));
    expect(Math.max(...all)).toBeLessThan(750);
    expect(all.length).toBeGreaterThan(100);
  });
});

test("the repetition penalty acts on what was there, once for each token", () => {
  const options = { temperature: 0, topK: 0, seed: 0, repetitionPenalty: 2 };
  const take = (before: number[], from = logits) =>
    chooseToken(from, options, { position: 9, before });
  expect(take([])).toBe(1);
  expect(take([1, 1, 1])).toBe(3);
  expect(take([1, 3])).toBe(2);
  expect(take([0], Float32Array.of(-1, -1.5))).toBe(1);
});

test("a draw depends on seed, answer and position alone", () => {
  const at = (position: number, seed: number, answer = 0) =>
    chooseToken(logits, { temperature: 1, topK: 0, seed }, { position, answer });
  const sequence = (seed: number, answer = 0) =>
    Array.from({ length: 50 }, (_, i) => at(i, seed, answer));
  expect(sequence(7)).toEqual(sequence(7));
  expect(sequence(7)).not.toEqual(sequence(8));
  expect(sequence(7)).not.toEqual(sequence(7, 1));
  expect(sequence(7)).not.toEqual(sequence(7 + 2 ** 32));
});

test("logits that are not finite are an error that says where", () => {
  const options = { temperature: 1, topK: 0, seed: 0 };
  const take = (...values: number[]) =>
    chooseToken(Float32Array.from(values), options, { position: 12 });
  expect(() => take(1, Number.NaN)).toThrow("logits for token 12 are not finite: NaN at 1");
  expect(() => take(Infinity, 1)).toThrow("not finite: Infinity at 0");
  expect(() => take(-Infinity, -Infinity)).toThrow("no token a probability");
});

test("the likeliest of many are those of a sort", () => {
  const uniform = uniformSource("likeliest");
  const weights = Float32Array.from({ length: 3000 }, () => Math.exp(-40 * uniform()));
  weights.fill(0.25, 100, 130);
  const sorted = Array.from(weights.keys()).sort(
    (x, y) => (weights[y] ?? 0) - (weights[x] ?? 0) || x - y,
  );
  for (const count of [1, 2, 40, 700, 2999, 3000])
    expect(likeliest(weights, count)).toEqual(sorted.slice(0, count));
});
