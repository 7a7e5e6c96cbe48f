/** @file What the plan says before a run is what the library allocates, to the byte. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gptPretrain } from "../../src/jobs/gpt_pretrain.ts";
import { openDevice } from "../../src/runtime/index.ts";
import { Checkpointer } from "../../src/train/checkpointer.ts";
import { Engine } from "../../src/train/engine.ts";
import { checkpointFields } from "../../src/train/fields.ts";
import { compileTraining } from "../../src/train/job_programs.ts";
import { cpuMachine, machineOf } from "../../src/train/machine.ts";
import { checkpointCopyBytes, expectFits, memoryReport } from "../../src/train/memory_report.ts";
import { savedStates } from "../../src/train/saved_states.ts";
import { targetOf } from "../../src/train/target.ts";
import { LLAMA_STYLE, tinyConfig } from "../nn/models_for_tests.ts";

const folder = mkdtempSync(join(tmpdir(), "theseus-memory-"));
afterAll(() => rmSync(folder, { recursive: true }));

test.each([
  ["gpt2", []],
  ["llama, accumulating", [...LLAMA_STYLE, "training.accumulate=4"]],
  ["sampling", ["sampling.interval=5", 'checkpoint.interval="1K tokens"']],
  ["saving only at the end", ["checkpoint.interval=0"]],
] as const)("%s", async (_, style) => {
  const config = tinyConfig(...style);
  const model = gptPretrain.model(config);
  const device = openDevice({ threads: 2 });
  try {
    const target = targetOf(device);
    const programs = compileTraining(model, config, target);
    const report = memoryReport(programs, machineOf(device), checkpointCopyBytes(model, config));
    const engine = new Engine(device, programs);
    const parameters = model.parameters().reduce((n, p) => n + p.count, 0);
    expect(report.stateByKind).toMatchObject({
      param: parameters * 4,
      grad: parameters * 4,
      adam_m: parameters * 4,
      adam_v: parameters * 4,
    });
    expect(device.info.buffer_bytes).toBe(engine.allocatedBytes);
    const copies = config.get(checkpointFields.interval) !== 0;
    const checkpoints = new Checkpointer({
      ...{ engine, directory: folder, runId: "r", configHash: "", texts: {}, copies },
      states: savedStates(model),
      rule: { keep: 2, permanentEvery: 0 },
      onEvent: () => {},
      afterSave: async () => {},
    });
    const copied = report.stateByKind["checkpoint copy"] ?? 0;
    expect(copied >= 3 * parameters * 4).toBe(copies);
    expect(device.info.buffer_bytes + device.info.scratch_bytes).toBe(report.totalBytes);
    await checkpoints.close();
    engine.free();
    expect(device.info.buffer_bytes).toBe(0);
  } finally {
    device.close();
  }
});

test("a run that does not fit says what takes the room", () => {
  const config = tinyConfig();
  const target = { kind: "cpu", level: "v3", threads: 1 } as const;
  const report = memoryReport(
    compileTraining(gptPretrain.model(config), config, target),
    cpuMachine(target),
  );
  expect(() => expectFits(report, cpuMachine(target, report.totalBytes))).not.toThrow();
  const refuse = () => expectFits(report, cpuMachine(target, report.totalBytes - 1));
  expect(refuse).toThrow(/^the run needs [\d.]+ MiB of memory, [\d.]+ MiB are free; temporaries/);
  expect(refuse).toThrow(/\n +[\d.]+ MiB {2}temporaries of blocks\.\d\.mlp\.up/);
});

test("a token that the vocabulary lacks names the node and the position", async () => {
  const config = tinyConfig("training.per_device_batch_size=2");
  const model = gptPretrain.model(config);
  const device = openDevice({ threads: 1 });
  try {
    const programs = compileTraining(model, config, targetOf(device));
    const engine = new Engine(device, programs);
    const tokens = new Int32Array(16);
    tokens[13] = 11;
    const run = await engine.start("eval", { tokens, targets: new Int32Array(16) });
    await expect(run.done()).rejects.toThrow(/embedding.*11.*13.*program eval, node \d+ wte/);
  } finally {
    device.close();
  }
});
