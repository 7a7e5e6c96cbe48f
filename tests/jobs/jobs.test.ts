/** @file Every job builds from its defaults, every preset loads, and what cannot be found is said with a guess. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { generatedPresets, PRESETS_FILE, presetNames } from "../../scripts/generate_presets.ts";
import { loadConfig } from "../../src/config/load.ts";
import { writeYaml } from "../../src/config/write.ts";
import { configSource, loadTraining } from "../../src/jobs/load_job.ts";
import { PRESETS, presetSummary } from "../../src/jobs/presets.ts";
import { JOBS } from "../../src/jobs/registry.ts";
import { cpuMachine } from "../../src/train/machine.ts";
import { planRun } from "../../src/train/plan.ts";

const target = { kind: "cpu", level: "v3", threads: 2 } as const;

/** Jobs that begin with a model have no default for it. */
function needed(name: string): string[] {
  if (name === "eval/run") return ["evaluation.model=first"];
  const [family = "", purpose] = name.split("/");
  const folder = join(
    import.meta.dir,
    "../fixtures/families",
    family === "qwen" ? "qwen2" : family,
  );
  if (name === "data/import") return ["import.files=[a.bin]"];
  if (name === "data/export") return ["export.from=a", "export.output=b"];
  return purpose === "finetune" ? [`model.from=${folder}`] : [];
}

test.each(JOBS.all.map((job) => [job.name, job] as const))("job %s", (name, job) => {
  const config = loadConfig({ schema: job.schema, overrides: needed(name) });
  if (job.kind === "training") expect(job.model(config).parameters().length).toBeGreaterThan(0);
  const text = writeYaml(job.schema, config);
  const again = loadConfig({ schema: job.schema, source: { name: "all.yaml", text } });
  expect(again.toTree()).toEqual(config.toTree());
  for (const [path, { doc }] of job.schema.fields) expect(`${path}: ${doc}`).toMatch(/: .{8,}/);
});

test("every file of configs/ is a preset of the program", () => {
  expect(presetNames()).toEqual([...PRESETS]);
  const path = join(import.meta.dir, "../..", PRESETS_FILE);
  expect(readFileSync(path, "utf8")).toBe(generatedPresets());
});

const MEMORY = 64 * 2 ** 30;

test.each([...PRESETS])("preset %s loads, is planned, and says what it is", (name) => {
  const { job, config } = loadTraining(configSource(name));
  expect(JOBS.find(job.name)).toBe(job);
  expect(presetSummary(name)).toMatch(/^[A-Z].{20,}/);
  const plan = planRun(job, config, cpuMachine(target, MEMORY));
  expect(plan.parameters).toBeGreaterThan(500_000);
  expect(plan.memory.totalBytes).toBeLessThan(MEMORY);
  // What the text says of its size is so.
  const words = { "gpt/baby": 11, "gpt/small": 25, "gpt/gpt2-124m": 124, "gpt/llama-small": 23 };
  const millions = words[name as keyof typeof words];
  if (millions !== undefined) expect(Math.round(plan.parameters / 1e6)).toBe(millions);
});

test("the first preset has about a million parameters", () => {
  const { job, config } = loadTraining(configSource("gpt/tiny-sotu"));
  const plan = planRun(job, config, cpuMachine(target));
  expect(plan.parameters).toBeGreaterThan(700_000);
  expect(plan.parameters).toBeLessThan(1_300_000);
  expect(plan.memory.totalBytes).toBeLessThan(200 << 20);
});

test("what is not there", () => {
  expect(() => configSource("gpt/tiny-sotuu")).toThrow(
    'no file and no preset is named gpt/tiny-sotuu. Did you mean "gpt/tiny-sotu"?',
  );
  const source = { name: "x.yaml", text: "job: gpt/pretrian\n" };
  expect(() => loadTraining(source)).toThrow(
    'no job is named "gpt/pretrian". Did you mean "gpt/pretrain"?',
  );
});

test("a file extends a preset, the command line wins", () => {
  const text = "extends: gpt/tiny-sotu\ntraining:\n  steps: 7\n  seed: 5\n";
  const { config } = loadTraining({ name: "mine.yaml", text }, ["training.seed=6"]);
  expect(config.at("training/steps")).toBe(7);
  expect(config.at("training/seed")).toBe(6);
  expect(config.at("architecture/positions")).toBe("rotary");
});
