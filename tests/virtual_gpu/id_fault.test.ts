/**
 * @file After a token that is out of range products of cuBLASLt still run, kernels of ours do not: what a checkpoint holds is as it
 * was before the step, also where gradients are added to those of another batch, and the device refuses to go on.
 */
import { expect, test } from "bun:test";
import { gptPretrain } from "../../src/jobs/gpt_pretrain.ts";
import { Engine } from "../../src/train/engine.ts";
import { compileTraining } from "../../src/train/job_programs.ts";
import { savedStates } from "../../src/train/saved_states.ts";
import { targetOf } from "../../src/train/target.ts";
import { tinyConfig } from "../nn/models_for_tests.ts";
import { openTestGpu } from "./virtual_gpu.ts";

const config = tinyConfig(
  "architecture.n_layer=1",
  "training.per_device_batch_size=1",
  "training.global_batch_size=2",
);
const model = gptPretrain.model(config);

test.each(["micro", "micro_add"])("a bad token in %s", async (bad) => {
  const device = openTestGpu();
  const programs = compileTraining(model, config, targetOf(device));
  const engine = new Engine(device, programs);
  const states = savedStates(model).map(({ state }) => state);
  const snapshot = () =>
    new Map(
      [...states].map((name) => {
        const bytes = new Uint8Array(engine.state(name).bytes);
        engine.state(name).read(bytes);
        return [name, Buffer.from(bytes).toString("base64")];
      }),
    );
  const step = async (number: number, wrong: string) => {
    for (const [i, program] of (["micro", "micro_add"] as const).entries()) {
      const tokens = new Int32Array(model.blockSize).fill(program === wrong ? 1 << 20 : 3);
      const targets = new Int32Array(model.blockSize).fill(1);
      const sample = Uint32Array.of(2 * number + i);
      await engine.start(program, { tokens, targets, step: number, sample });
    }
    const rates = { learning_rate: 1e-2, step: number + 1, norm_limit: 1e30 };
    return (await engine.start("update", rates)).done();
  };
  await (await engine.start("init")).done();
  // Graphs are at work from the second step on.
  for (let number = 0; number < 3; number++) await step(number, "");
  const before = snapshot();
  const message = new RegExp(`index out of range: value 1048576.*program ${bad},`);
  await expect(step(3, bad)).rejects.toThrow(message);
  const after = snapshot();
  const changed = states.filter((name) => after.get(name) !== before.get(name));
  expect(changed).toEqual([]);
  expect(before.size).toBeGreaterThan(20);
  await expect(step(4, "")).rejects.toThrow(message);
  device.close();
});
