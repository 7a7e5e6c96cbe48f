/** @file Memory of a GPU: the plan is what is taken to the byte, nothing is left behind, and the room that others leave decides. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { gptPretrain } from "../../src/jobs/gpt_pretrain.ts";
import { chooseDevice, openGpu } from "../../src/runtime/index.ts";
import { Engine } from "../../src/train/engine.ts";
import { compileTraining } from "../../src/train/job_programs.ts";
import { machineOf } from "../../src/train/machine.ts";
import { checkpointCopyBytes, memoryReport } from "../../src/train/memory_report.ts";
import { openRunDevice } from "../../src/train/run_device.ts";
import { targetOf } from "../../src/train/target.ts";
import { LLAMA_STYLE, tinyConfig } from "../nn/models_for_tests.ts";
import { TestRoot } from "../train/runs_for_tests.ts";
import { NOTHING, StandIn } from "./stand_in.ts";
import { DRIVER } from "./virtual_gpu.ts";

setDefaultTimeout(60_000);
const standIn = new StandIn();
const root = new TestRoot();
const before = process.env.THESEUS_CUDA_DRIVER;
process.env.THESEUS_CUDA_DRIVER = DRIVER;
afterAll(() => {
  if (before === undefined) delete process.env.THESEUS_CUDA_DRIVER;
  else process.env.THESEUS_CUDA_DRIVER = before;
  root.remove();
});

test.each([
  ["gpt2", []],
  ["llama, accumulating", [...LLAMA_STYLE, "training.accumulate=4"]],
  ["sampling, in bf16", ["sampling.interval=5", "training.precision=mixed"]],
] as const)("%s: the plan is what is taken", (_, style) => {
  const config = tinyConfig(...style);
  const model = gptPretrain.model(config);
  const device = openGpu(0);
  const programs = compileTraining(model, config, targetOf(device));
  const report = memoryReport(programs, machineOf(device), checkpointCopyBytes(model, config));
  expect(report.scratchBytes).toBe(0);
  expect(report.copyBytes).toBeGreaterThan(0);
  expect(report.programBytes).toBeGreaterThan(0);
  const engine = new Engine(device, programs);
  expect(device.info.gpu?.allocated_bytes).toBe(report.totalBytes);
  expect(standIn.held().bytes).toBe(report.totalBytes);
  engine.free();
  expect(standIn.held().bytes).toBe(device.info.gpu?.own_bytes ?? Number.NaN);
  device.close();
  expect(standIn.held()).toEqual(NOTHING);
});

const little = () => root.config("training.precision=f32", "training.per_device_batch_size=4");

test("what others hold: said for cuda, and auto takes the CPU", async () => {
  standIn.set("MEMORY", 8 << 20);
  standIn.set("TAKEN", 7 << 20);
  try {
    const refused = await root.start("refused", ["training.device=cuda"]).catch((error) => error);
    expect(refused.code).toBe("device");
    expect(refused.message).toMatch(
      /^the run needs [\d.]+ MiB of memory on GPU 0 \(virtual GPU\), 1.0 MiB of 8.0 MiB are free; /,
    );
    expect(refused.message).toMatch(/\n +[\d.]+ MiB {2}(temporaries of|param\/)/);
    expect(refused.hint).toContain("other processes hold the rest");
    const config = little();
    const device = openRunDevice(gptPretrain.model(config), config);
    expect(device.info.gpu).toBeNull();
    device.close();
  } finally {
    standIn.set("TAKEN", 0);
    standIn.set("MEMORY", 4 * 2 ** 30);
  }
  const config = little();
  const device = openRunDevice(gptPretrain.model(config), config);
  expect(device.info.gpu?.name).toBe("virtual GPU");
  device.close();
});

test("five hundred steps take nothing more, neither there nor here", async () => {
  const config = tinyConfig("training.per_device_batch_size=1", "architecture.n_layer=1");
  const model = gptPretrain.model(config);
  const device = chooseDevice({ device: "cuda", threads: null });
  const engine = new Engine(device, compileTraining(model, config, targetOf(device)));
  await (await engine.start("init")).done();
  const tokens = new Int32Array(model.blockSize);
  const steps = async (count: number): Promise<void> => {
    for (let step = 0; step < count; step++) {
      const sample = Uint32Array.of(step);
      await engine.start("micro", { tokens, targets: tokens, step, sample });
      const rates = { learning_rate: 1e-3, step: step + 1, norm_limit: 1e30 };
      await (await engine.start("update", rates)).outputSoon("loss");
    }
  };
  await steps(50);
  Bun.gc(true);
  const [held, asked, resident] = [standIn.held(), standIn.asked(), process.memoryUsage.rss()];
  await steps(450);
  expect(standIn.held()).toEqual(held);
  expect(standIn.asked().allocations).toBe(asked.allocations);
  expect(standIn.asked().pinned).toBe(asked.pinned);
  Bun.gc(true);
  expect(process.memoryUsage.rss() - resident).toBeLessThan(16 << 20);
  device.close();
  expect(standIn.held()).toEqual(NOTHING);
}, 120_000);
