/** @file Training on the virtual GPU: the CPU's losses, equal bits from run to run, and a run that goes on after a stop. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { TestRoot } from "../train/runs_for_tests.ts";
import { buildVirtualGpu, DRIVER } from "./virtual_gpu.ts";

const root = new TestRoot();
const before = process.env.THESEUS_CUDA_DRIVER;

const WIDTH_64 = [
  ...["n_layer=2", "n_embd=64", "n_head=2"].map((s) => `architecture.${s}`),
  ...["steps=20", "per_device_batch_size=2", "accumulate=2"].map((s) => `training.${s}`),
  ...["learning_rate=1e-3", "precision=f32"].map((s) => `training.${s}`),
  "checkpoint.interval=10",
];
const on = (device: string, ...more: string[]) => [
  ...WIDTH_64,
  `training.device=${device}`,
  ...more,
];

beforeAll(() => {
  buildVirtualGpu();
  process.env.THESEUS_CUDA_DRIVER = DRIVER;
});
afterAll(() => {
  if (before === undefined) delete process.env.THESEUS_CUDA_DRIVER;
  else process.env.THESEUS_CUDA_DRIVER = before;
  root.remove();
});

test("twenty steps follow the CPU's, and a second run has the first one's bits", async () => {
  const cpu = await root.train("cpu", on("cpu"));
  const gpu = await root.train("gpu", on("cuda:0"));
  expect(gpu.metrics).toHaveLength(20);
  gpu.metrics.forEach(({ loss }, i) => {
    expect(Math.abs(loss - (cpu.metrics[i]?.loss ?? Number.NaN))).toBeLessThanOrEqual(1e-4);
  });
  const again = await root.train("again", on("auto"));
  expect(Buffer.compare(gpu.weights, again.weights)).toBe(0);
}, 60_000);

test("a run that stopped goes on to the same weights", async () => {
  const tokens = 10 * 2 * 2 * 32;
  await root.train("resumed", on("cuda", `training.stop_tokens=${tokens}`));
  const { weights, metrics } = await root.train("resumed", on("cuda"));
  expect(metrics).toHaveLength(20);
  const whole = await root.train("whole", on("cuda"));
  expect(Buffer.compare(weights, whole.weights)).toBe(0);
}, 60_000);
