/** @file Overrides of several stages: each goes to the stages whose job has the setting, or to the one it names. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { field } from "../../src/config/field.ts";
import { int } from "../../src/config/schema.ts";
import { loadJob } from "../../src/jobs/load_job.ts";
import { loadStages } from "../../src/jobs/load_stages.ts";
import { job } from "../../src/jobs/registry.ts";
import { Gpt } from "../../src/models/gpt/gpt.ts";
import { optionsOf } from "../../src/models/gpt/options.ts";

const extra = { rank: field("tuning/rank", int({ min: 1 }), 4, "a setting of this job alone") };
job({
  name: "test/tuned",
  doc: "a job with a setting more",
  uses: [Gpt, { config: extra }],
  model: (config) => new Gpt(optionsOf(config)),
});

const FIRST = { name: "first.yaml", text: "job: gpt/pretrain\n" };
const SECOND = { name: "second.yaml", text: "job: test/tuned\n" };

test("to the stages that own the path", () => {
  const overrides = ["tuning.rank=8", "training.steps=3", "2:training.seed=7", "training.seed=5"];
  const [one, two] = loadStages([FIRST, SECOND], overrides);
  expect(one?.config.at("tuning/rank")).toBeUndefined();
  expect(two?.config.at("tuning/rank")).toBe(8);
  expect([one, two].map((stage) => stage?.config.at("training/steps"))).toEqual([3, 3]);
  // The last one counts, in each stage.
  expect([one, two].map((stage) => stage?.config.at("training/seed"))).toEqual([5, 5]);
});

test("what no stage has, and stages that are not there", () => {
  const load = (...overrides: string[]) => loadStages([FIRST, SECOND], overrides);
  expect(() => load("training.stepz=3")).toThrow('Did you mean "steps"?');
  expect(() => load("1:tuning.rank=3")).toThrow("tuning.rank  unknown key");
  expect(() => load("3:training.steps=3")).toThrow("expected a stage from 1 to 2, got 3");
  expect(() => load("0:training.steps=3")).toThrow("expected a stage from 1 to 2, got 0");
});

test("the job may stand in what a file extends", () => {
  const folder = mkdtempSync(join(tmpdir(), "theseus-stages-"));
  try {
    writeFileSync(join(folder, "base.yaml"), "job: test/tuned\n");
    const middle = "extends: [base.yaml, gpt/tiny-sotu]\n";
    writeFileSync(join(folder, "middle.yaml"), middle.replace(", gpt/tiny-sotu", ""));
    const name = join(folder, "mine.yaml");
    expect(loadJob({ name, text: "extends: middle.yaml\n" }).job.name).toBe("test/tuned");
    // The last of several that say something counts, as for every key; a circle is told as one.
    expect(() => loadJob({ name, text: middle })).toThrow("job  expected gpt/pretrain");
    writeFileSync(join(folder, "a.yaml"), "extends: b.yaml\n");
    writeFileSync(join(folder, "b.yaml"), "extends: a.yaml\n");
    expect(() => loadJob({ name, text: "extends: a.yaml\n" })).toThrow("is a circle");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
