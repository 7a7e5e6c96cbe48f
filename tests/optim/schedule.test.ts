/** @file Learning-rate schedules at the points that matter. */
import { expect, test } from "bun:test";
import { learningRate, type ScheduleOptions } from "../../src/optim/schedule.ts";

const base: ScheduleOptions = {
  learningRate: 1,
  schedule: "wsd",
  warmupSteps: 10,
  decayFraction: 0.2,
  finalFraction: 0.1,
};
const at = (options: Partial<ScheduleOptions>, step: number) =>
  learningRate({ ...base, ...options }, step, 100);

test("warm-up is linear and never zero", () => {
  expect(at({}, 0)).toBeCloseTo(0.1);
  expect(at({}, 4)).toBeCloseTo(0.5);
  expect(at({}, 9)).toBe(1);
  expect(at({ warmupSteps: 0 }, 0)).toBe(1);
});

test("wsd is level, then falls in a line to the final fraction", () => {
  expect(at({}, 10)).toBe(1);
  expect(at({}, 79)).toBe(1);
  expect(at({}, 80)).toBeCloseTo(1 - 0.9 / 20);
  expect(at({}, 89)).toBeCloseTo(0.55);
  expect(at({}, 99)).toBeCloseTo(0.1);
  expect(at({ decayFraction: 0 }, 99)).toBe(1);
  expect(at({ finalFraction: 0 }, 99)).toBeCloseTo(0);
});

test("cosine", () => {
  const options = { schedule: "cosine" } as const;
  expect(at(options, 10)).toBe(1);
  expect(at(options, 55)).toBeCloseTo(0.55);
  expect(at(options, 99)).toBeLessThan(0.1005);
  expect(at({ ...options, warmupSteps: 100 }, 99)).toBe(1);
});

test("constant", () => {
  expect(at({ schedule: "constant" }, 99)).toBe(1);
});
