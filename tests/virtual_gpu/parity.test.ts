/** @file A GPU, in CI the virtual one, against PyTorch in f64, in every precision: as tests/parity does for the CPU. */
import { afterAll, describe, expect, test } from "bun:test";
import { readFixture, VARIANTS } from "../parity/fixture.ts";
import {
  activationErrors,
  BOUNDS,
  beyond,
  gradientErrors,
  trainingErrors,
} from "../parity/measure.ts";
import { openTestGpu } from "./virtual_gpu.ts";

const device = openTestGpu();
afterAll(() => device.close());

const cases = VARIANTS.flatMap((name) =>
  (["f32", "mixed", "bf16"] as const).map((precision) => [name, precision] as const),
);

describe.each(cases)("%s %s", (name, precision) => {
  const bounds = BOUNDS[precision];

  test("activations and logits", async () => {
    const errors = await activationErrors(device, await readFixture(name), precision);
    expect(beyond(errors, bounds.tensor)).toEqual({});
  });

  test("loss and every gradient", async () => {
    const found = await gradientErrors(device, await readFixture(name), precision);
    expect(found.loss).toBeLessThan(bounds.tensor);
    expect(beyond(found.gradients, bounds.tensor)).toEqual({});
    expect(found.keyBias).toBeLessThan(bounds.keyBias);
  });

  test("ten AdamW steps", async () => {
    const errors = await trainingErrors(device, await readFixture(name), precision, 10);
    expect(beyond(errors, bounds.training)).toEqual({});
  });
});
