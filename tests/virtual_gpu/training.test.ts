/** @file Training on the virtual GPU: the CPU's losses, equal bits from run to run, and a run that goes on after a stop. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { TestRoot, type TestRun } from "../train/runs_for_tests.ts";
import { DRIVER, useVirtualGpu } from "./virtual_gpu.ts";

const root = new TestRoot();
const before = process.env.THESEUS_CUDA_DRIVER;

const WIDTH_64 = [
  ...["n_layer=2", "n_embd=64", "n_head=2"].map((s) => `architecture.${s}`),
  ...["per_device_batch_size=2", "accumulate=2"].map((s) => `training.${s}`),
  "training.learning_rate=1e-3",
  "validation.batches=1",
];
const on = (device: string, ...more: string[]) => [
  ...WIDTH_64,
  `training.device=${device}`,
  ...more,
];

useVirtualGpu();
beforeAll(() => {
  process.env.THESEUS_CUDA_DRIVER = DRIVER;
});
afterAll(() => {
  if (before === undefined) delete process.env.THESEUS_CUDA_DRIVER;
  else process.env.THESEUS_CUDA_DRIVER = before;
  root.remove();
});

/** Largest difference of a loss from the CPU's in f32; measured: below 1e-6, 4e-4 and 3e-4. */
const BOUNDS = { f32: 1e-4, mixed: 2e-3, bf16: 2e-3 };
const STEPS = { f32: 20, mixed: 8, bf16: 8 };

const runs = new Map<string, Promise<TestRun>>();
/** Trained by the first test that asks. */
function once(name: string, settings: readonly string[]): Promise<TestRun> {
  const run = runs.get(name) ?? root.train(name, settings);
  runs.set(name, run);
  return run;
}

describe.each(["f32", "mixed", "bf16"] as const)("%s", (precision) => {
  const steps = STEPS[precision];
  const length = [`training.steps=${steps}`, `checkpoint.interval=${steps / 2}`];
  const own = (...more: string[]) =>
    on("cuda:0", ...length, `training.precision=${precision}`, ...more);
  const whole = () => once(`whole-${precision}`, own());

  test("losses follow the CPU's", async () => {
    const cpu = await once(`cpu-${steps}`, on("cpu", ...length, "training.precision=f32"));
    const { metrics } = await whole();
    expect(metrics).toHaveLength(steps);
    const far = metrics.map(({ loss }, i) => Math.abs(loss - (cpu.metrics[i]?.loss ?? Number.NaN)));
    expect(Math.max(...far)).toBeLessThanOrEqual(BOUNDS[precision]);
  }, 60_000);

  test("a second run has the first one's bits", async () => {
    const { weights } = await whole();
    const again = await root.train(`again-${precision}`, own());
    expect(Buffer.compare(weights, again.weights)).toBe(0);
  }, 60_000);

  test("a run that stopped goes on to the same weights", async () => {
    const name = `resumed-${precision}`;
    await root.train(name, own(`training.stop_tokens=${(steps / 2) * 2 * 2 * 32}`));
    const { weights, metrics } = await root.train(name, own());
    expect(metrics).toHaveLength(steps);
    expect(Buffer.compare(weights, (await whole()).weights)).toBe(0);
  }, 60_000);
});
