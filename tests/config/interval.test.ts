/** @file Intervals as they are written, and the steps that they fall on. */
import { expect, test } from "bun:test";
import { parseInterval } from "../../src/config/interval.ts";
import { Due } from "../../src/train/due.ts";

test.each([
  [250, "steps", 250],
  [0, "steps", 0],
  ["250 steps", "steps", 250],
  ["1 step", "steps", 1],
  ["10M tokens", "tokens", 1e7],
  ["1.5 K tokens", "tokens", 1500],
  ["2B tokens", "tokens", 2e9],
  ["15 minutes", "minutes", 15],
  ["1.5 hours", "minutes", 90],
  ["30 seconds", "minutes", 0.5],
] as const)("%p", (text, unit, every) => {
  expect(parseInterval(text)).toEqual({ unit, every });
});

test.each([
  ...[-1, 1.5, Number.NaN, "", "10", "10M", "tokens", "0.5 tokens", "1.2345K tokens"],
  ...["3M minutes", "10 parsecs", "-3 steps", "1e3 steps", null, true],
])("%p is none", (value) => {
  expect(parseInterval(value)).toBeUndefined();
});

const steps = (due: Due, count: number): number[] =>
  Array.from({ length: count }, (_, i) => i + 1).filter((step) => due.after(step));

test("steps and tokens are due at the same steps, wherever a run goes on", () => {
  expect(steps(new Due(3, 64), 10)).toEqual([3, 6, 9]);
  expect(steps(new Due(0, 64), 10)).toEqual([]);
  // 64 tokens a step: 100, 200, 300 ... tokens are reached within steps 2, 4, 5 ...
  expect(steps(new Due("100 tokens", 64), 8)).toEqual([2, 4, 5, 7, 8]);
  // Several times within one step are one.
  expect(steps(new Due("10 tokens", 64), 3)).toEqual([1, 2, 3]);
  expect([4, 5, 6, 7].filter((step) => new Due("100 tokens", 64).byStep(step))).toEqual([4, 5, 7]);
});

test("minutes follow the clock and start anew when they are due", () => {
  const due = new Due("2 minutes", 64, 0);
  const minute = 60e3;
  expect(due.after(1, 1.9 * minute)).toBe(false);
  expect(due.after(2, 2.5 * minute)).toBe(true);
  expect(due.after(3, 2.6 * minute)).toBe(false);
  expect(due.after(4, 4.4 * minute)).toBe(false);
  expect(due.after(5, 4.5 * minute)).toBe(true);
  expect(due.byStep(6)).toBe(false);
});
