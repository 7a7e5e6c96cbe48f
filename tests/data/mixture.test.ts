/** @file Mixtures keep their shares at every prefix, and count every source's samples without a gap. */
import { describe, expect, test } from "bun:test";
import { Mixture, MixtureSampler } from "../../src/data/samples/mixture.ts";
import type { Sampler } from "../../src/data/samples/sampler.ts";

/** Largest distance of a source from its share over all prefixes; checks that indices have no gaps. */
function worst(mixture: Mixture, weights: readonly number[], from: number, to: number): number {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const counted = weights.map(() => 0);
  const first: number[] = [];
  let distance = 0;
  for (let sample = from; sample < to; sample++) {
    const { source, index } = mixture.at(sample);
    first[source] ??= index;
    expect(index).toBe((first[source] ?? 0) + (counted[source] ?? 0));
    counted[source] = (counted[source] ?? 0) + 1;
    weights.forEach((weight, i) => {
      const ideal = ((sample + 1 - from) * weight) / total;
      distance = Math.max(distance, Math.abs((counted[i] ?? 0) - ideal));
    });
  }
  return distance;
}

describe("shares", () => {
  test.each([[[1, 1]], [[0.7, 0.3]], [[1, 2, 3, 4, 5]], [[0, 1, 0, 3]], [[1000, 1]], [[5]]])(
    "of %p",
    (weights) => {
      const mixture = new Mixture([{ from: 0, weights }]);
      expect(worst(mixture, weights, 0, 5000)).toBeLessThan(1.6);
    },
  );

  test("of random weights", () => {
    let state = 7;
    const random = (): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    };
    for (let round = 0; round < 20; round++) {
      const weights = Array.from({ length: 2 + (round % 7) }, () => random() ** 3);
      expect(worst(new Mixture([{ from: 0, weights }]), weights, 0, 1000)).toBeLessThan(2);
    }
  });

  test("hold far out, where samples are counted in billions", () => {
    const mixture = new Mixture([{ from: 0, weights: [2, 1] }]);
    const far = 3 * 2 ** 40;
    expect(worst(mixture, [2, 1], far, far + 300)).toBeLessThan(1.6);
    const { source, index } = mixture.at(far);
    expect(Math.abs(index / far - (source === 0 ? 2 / 3 : 1 / 3))).toBeLessThan(1e-6);
  });

  test("a weight that is tiny beside another is not lost", () => {
    const mixture = new Mixture([{ from: 0, weights: [1, 1e-12] }]);
    // It takes one sample of the first 2^24, in their middle.
    expect(mixture.at(2 ** 23).source + mixture.at(2 ** 23 - 1).source).toBe(1);
  });
});

test("stages: weights change at their sample, and every source goes on where it stood", () => {
  const mixture = new Mixture([
    { from: 0, weights: [1, 0, 1] },
    { from: 101, weights: [0, 3, 1] },
    { from: 300, weights: [1, 1, 1] },
  ]);
  expect(worst(mixture, [1, 0, 1], 0, 101)).toBeLessThan(1.6);
  expect(worst(mixture, [0, 3, 1], 101, 300)).toBeLessThan(1.6);
  expect(worst(mixture, [1, 1, 1], 300, 900)).toBeLessThan(1.6);
  const seen = [0, 0, 0];
  for (let sample = 0; sample < 900; sample++) {
    const { source, index } = mixture.at(sample);
    expect(index).toBe(seen[source] ?? -1);
    seen[source] = (seen[source] ?? 0) + 1;
  }
});

test("an epoch of a mixture is as long as its sources together", () => {
  const source = (perEpoch: number): Sampler => ({
    perEpoch,
    place: (sample) => ({ source: perEpoch, token: sample }),
    fill() {},
  });
  const sampler = new MixtureSampler([source(10), source(30)], [{ from: 0, weights: [1, 1] }]);
  expect(sampler.perEpoch).toBe(40);
  const places = [0, 1, 2, 3].map((sample) => sampler.place(sample));
  expect(places.map(({ token }) => token)).toEqual([0, 0, 1, 1]);
});
