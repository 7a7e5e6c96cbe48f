/**
 * @file The engine against PyTorch in f64: activations, loss, every gradient and fifty AdamW steps of two small GPTs, on
 * every CPU level of this machine. Bounds are those of docs on numerics: per tensor ||ours - f64|| / ||f64||.
 */

import { describe, expect, test } from "bun:test";
import {
  type Device,
  LEVELS,
  type Level,
  libraryInfo,
  openDevice,
} from "../../src/runtime/index.ts";
import { readFixture, VARIANTS } from "./fixture.ts";
import { activationErrors, BOUNDS, beyond, gradientErrors, trainingErrors } from "./measure.ts";

const THREADS = 2;

const { cpu_level, levels } = libraryInfo();
const usable = levels.filter(
  (level) => cpu_level !== "none" && LEVELS.indexOf(level) <= LEVELS.indexOf(cpu_level),
);
const cases = usable.flatMap((level) =>
  VARIANTS.flatMap((name) =>
    (["f32", "mixed"] as const).map((precision) => [level, name, precision] as const),
  ),
);

async function on<T>(level: Level, measure: (device: Device) => Promise<T>): Promise<T> {
  const device = openDevice({ level, threads: THREADS });
  const result = await measure(device);
  device.close();
  return result;
}

test("the library has a level for this machine", () => {
  expect(usable.length).toBeGreaterThan(0);
});

describe.each(cases)("%s %s %s", (level, name, precision) => {
  const bounds = BOUNDS[precision];

  test("activations and logits", async () => {
    const fixture = await readFixture(name);
    const errors = await on(level, (device) => activationErrors(device, fixture, precision));
    expect(Object.keys(errors).length).toBe(fixture.config.n_layer + 2);
    expect(beyond(errors, bounds.tensor)).toEqual({});
  });

  test("loss and every gradient", async () => {
    const fixture = await readFixture(name);
    const found = await on(level, (device) => gradientErrors(device, fixture, precision));
    const kept = fixture.batches[0]?.targets.filter((target) => target >= 0).length ?? 0;
    expect(found.tokens).toBe(kept);
    expect(found.loss).toBeLessThan(bounds.tensor);
    expect(beyond(found.gradients, bounds.tensor)).toEqual({});
    expect(found.keyBias).toBeLessThan(bounds.keyBias);
  });

  test("fifty AdamW steps", async () => {
    const fixture = await readFixture(name);
    const errors = await on(level, (device) => trainingErrors(device, fixture, precision));
    expect(Object.keys(errors).length).toBe(100);
    expect(beyond(errors, bounds.training)).toEqual({});
  });
});
