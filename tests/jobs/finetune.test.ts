/** @file Training on from a model that is there: what config.json says, its weights, and that a run then stands on its own. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ConfigSchema } from "../../src/config/collect.ts";
import { loadConfig } from "../../src/config/load.ts";
import { llamaFinetune, qwenFinetune } from "../../src/jobs/finetune.ts";
import { gptPretrain } from "../../src/jobs/gpt_pretrain.ts";
import { modelFiles } from "../../src/jobs/model_place.ts";
import { trainedRun } from "../../src/jobs/trained_run.ts";
import { readSafetensors } from "../../src/train/checkpoint/safetensors.ts";
import { runTraining } from "../../src/train/run.ts";
import { FAMILIES } from "../models/family_fixture.ts";
import { widenedCopy } from "../models/folder_logits.ts";

setDefaultTimeout(60_000);
const root = mkdtempSync(join(tmpdir(), "theseus-finetune-"));
afterAll(() => rmSync(root, { recursive: true }));
const text = join(root, "text.txt");
writeFileSync(text, "0123456789 and so on, again and again\n".repeat(60));

const place = (name: string) => ({ root, project: "general", group: "default", name });

function configOf(
  job: typeof llamaFinetune | typeof qwenFinetune,
  from: string,
  ...more: string[]
) {
  return loadConfig({
    schema: job.schema,
    overrides: [
      ...[`model.from=${from}`, `data.text=${text}`, "training.per_device_batch_size=2"],
      ...["training.steps=4", "checkpoint.interval=2", "architecture.block_size=16", ...more],
    ],
  });
}

function widened(name: string): string {
  const folder = join(root, name);
  widenedCopy(name, folder);
  return folder;
}

test("begins with the model's weights, saves its kind of folder, and goes on without it", async () => {
  const folder = widened("llama");
  const stopped = { ...place("tuned") };
  const first = await runTraining({
    job: llamaFinetune,
    config: configOf(llamaFinetune, folder, "training.stop_tokens=64"),
    place: stopped,
  });
  const events = readFileSync(join(first.directory, "events.jsonl"), "utf8");
  expect(events).toContain(`"from":${JSON.stringify(folder)}`);
  rmSync(folder, { recursive: true });
  const again = await runTraining({
    job: llamaFinetune,
    config: configOf(llamaFinetune, folder),
    place: stopped,
    allowChange: true,
  });
  expect([again.reason, again.step]).toEqual(["finished", 4]);
  const checkpoint = join(first.directory, "checkpoints/step-000004");
  expect(readdirSync(checkpoint)).toContain("generation_config.json");
  const json = JSON.parse(readFileSync(join(checkpoint, "config.json"), "utf8"));
  expect(json).toMatchObject({ model_type: "llama", vocab_size: 256, eos_token_id: 2 });
  const names = readSafetensors(join(checkpoint, "model.safetensors")).tensors.map((t) => t.name);
  expect(names).toContain("model.layers.1.self_attn.q_proj.weight");
  expect(names).toEqual([...names].sort());

  // The same without an interruption ends with the same bits.
  const source = widened("llama");
  const whole = await runTraining({
    job: llamaFinetune,
    config: configOf(llamaFinetune, source),
    place: place("whole"),
  });
  const weights = (directory: string) => readFileSync(join(directory, "model.safetensors"));
  expect(weights(whole.directory).equals(weights(again.directory))).toBe(true);

  // Each of the three is a model for a next run.
  for (const model of ["whole", "whole@step-2", join(whole.directory, "checkpoints/step-000004")]) {
    const { model: opened } = trainedRun(await modelFiles(model, root));
    expect([model, opened.vocabSize]).toEqual([model, 256]);
  }
  const next = await runTraining({
    job: llamaFinetune,
    config: configOf(llamaFinetune, "whole@step-2", "training.steps=1"),
    place: place("next"),
  });
  expect(next.reason).toBe("finished");
});

test("what cannot begin leaves no run behind", async () => {
  const begin = (
    job: typeof llamaFinetune | typeof qwenFinetune,
    from: string,
    ...more: string[]
  ) => runTraining({ job, config: configOf(job, from, ...more), place: place("refused") });
  const llama = join(FAMILIES, "llama");
  await expect(begin(qwenFinetune, llama)).rejects.toThrow(
    'expected model_type qwen2 or qwen3, got "llama"',
  );
  await expect(begin(llamaFinetune, llama)).rejects.toThrow(
    "architecture.vocab_size 61 is less than the 256 tokens of the tokenizer bytes",
  );
  await expect(begin(llamaFinetune, join(root, "nowhere"))).rejects.toThrow("no run is named");
  expect(existsSync(join(root, "runs/general/default/refused"))).toBe(false);
});

test("a model that is trained already gets a low rate by default", () => {
  const rate = (schema: ConfigSchema) => schema.fields.get("training/learning_rate")?.default;
  expect(rate(llamaFinetune.schema)).toBe(2e-5);
  expect(rate(gptPretrain.schema)).toBe(1e-3);
});
