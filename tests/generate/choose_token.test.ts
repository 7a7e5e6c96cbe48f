/** @file Drawing tokens from logits. */
import { expect, test } from "bun:test";
import { chooseToken } from "../../src/generate/choose_token.ts";

const logits = Float32Array.of(1, 3, 2, 3, -Infinity);

const draw = (temperature: number, topK: number, draws = 2000) => {
  const counts = new Array<number>(logits.length).fill(0);
  for (let position = 0; position < draws; position++) {
    const id = chooseToken(logits, { temperature, topK, seed: 3 }, position);
    counts[id] = (counts[id] ?? 0) + 1;
  }
  return counts;
};

test("temperature 0 takes the likeliest, the lowest id among equals", () => {
  expect(draw(0, 0, 10)).toEqual([0, 10, 0, 0, 0]);
});

test("frequencies follow the probabilities", () => {
  const weights = [...logits].map(Math.exp);
  const total = weights.reduce((a, b) => a + b, 0);
  draw(1, 0).forEach((count, id) => {
    const p = (weights[id] ?? 0) / total;
    expect(Math.abs(count - 2000 * p)).toBeLessThanOrEqual(5 * Math.sqrt(2000 * p * (1 - p)));
  });
});

test("top-k keeps the k likeliest", () => {
  const [low, a, middle, b, never] = draw(1, 2);
  expect([low, middle, never]).toEqual([0, 0, 0]);
  expect((a ?? 0) > 800 && (b ?? 0) > 800).toBe(true);
});

test("a draw depends on seed and position alone", () => {
  const options = { temperature: 1, topK: 0, seed: 7 };
  const at = (position: number, seed = 7) => chooseToken(logits, { ...options, seed }, position);
  const sequence = (seed: number) => Array.from({ length: 50 }, (_, i) => at(i, seed));
  expect(sequence(7)).toEqual(sequence(7));
  expect(sequence(7)).not.toEqual(sequence(8));
});
