/** @file Runs that meet trouble and go on: saves that fail, torn metrics, settings that differ, a second trainer. Kills: kill_sweep. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { appendFileSync, cpSync, existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ChildRuns } from "./child_runs.ts";
import type { Child } from "./runs_child.ts";

const TEXT = `
job: gpt/pretrain
architecture: { n_layer: 2, n_head: 2, n_embd: 32, block_size: 32, dropout: 0.1 }
training: { steps: 24, per_device_batch_size: 4, accumulate: 2, warmup_steps: 2 }
validation: { interval: 7, batches: 2 }
checkpoint: { interval: 5 }
`;

const runs = new ChildRuns(TEXT);
afterAll(() => runs.remove());
const run = (...args: Parameters<ChildRuns["run"]>) => runs.run(...args);
const directoryOf = (name: string) => runs.directory(name);
const lossesOf = (name: string) => runs.losses(name);

let whole: Record<string, string> = {};
beforeAll(async () => {
  expect(await run("whole", { overrides: ["training.threads=1"] })).toMatchObject({ code: 0 });
  whole = runs.hashes("whole", 24);
  expect(Object.keys(whole)).toEqual(["model.safetensors", "optimizer.safetensors", "config.yaml"]);
}, 60_000);

/** config.yaml names the threads. */
function expectWhole(name: string): void {
  const { "config.yaml": _, ...tensors } = runs.hashes(name, 24);
  const { "config.yaml": __, ...expected } = whole;
  expect(tensors).toEqual(expected);
  expect(lossesOf(name)).toEqual(lossesOf("whole"));
}

test("a save that fails is a warning and an event, and the run goes on", async () => {
  const { code, message } = await run("full", {}, { THESEUS_FAULT: "write:3:enospc" });
  expect(code).toBe(0);
  expect(message).toContain("ENOSPC");
  expect(message).toContain("training goes on");
  const events = readFileSync(join(directoryOf("full"), "events.jsonl"), "utf8");
  expect(events).toContain('"event":"save_failed","step":5');
  expectWhole("full");
}, 30_000);

test("where no save works, the run trains to its end and exits 6", async () => {
  const { code, message } = await run("none", {}, { THESEUS_FAULT: "write:1+:enospc" });
  expect(code).toBe(6);
  expect(message).toContain("no checkpoint could be written");
  expect(lossesOf("none")).toEqual(lossesOf("whole"));
  expect(runs.events("none", "save_failed").length).toBeGreaterThan(3);
}, 30_000);

test("checkpoints of an older run in the folder are never resumed, never deleted", async () => {
  await run("stale", { overrides: ["training.steps=6", "training.threads=1"] });
  const checkpoints = join(directoryOf("stale"), "checkpoints");
  rmSync(checkpoints, { recursive: true });
  // Another run's, with higher numbers; its own folder has none left but a step 4.
  cpSync(join(directoryOf("whole"), "checkpoints"), checkpoints, { recursive: true });
  const before = readdirSync(checkpoints).filter((name) => name.startsWith("step-"));
  const more = { overrides: ["training.threads=1"], allowChange: true };
  const refused = await run("stale", more);
  expect(refused).toMatchObject({ code: 6 });
  expect(refused.message).toContain("belongs to another run");
  expect(readdirSync(checkpoints)).toEqual(expect.arrayContaining(before));
}, 30_000);

test("a torn last line of metrics.jsonl is cut before the next attempt writes", async () => {
  const path = join(directoryOf("full"), "metrics.jsonl");
  appendFileSync(path, '{"step":99,"lo');
  expect(await run("full")).toMatchObject({ code: 0 });
  expect(lossesOf("full")).toEqual(lossesOf("whole"));
}, 30_000);

test("what may differ on resume, and what may not", async () => {
  const refused = async (override: string, more: Partial<Child> = {}) =>
    run("whole", { overrides: [override], ...more });
  expect(await refused("architecture.n_layer=3")).toMatchObject({ code: 5 });
  expect(await refused("training.seed=9")).toMatchObject({ code: 5 });
  const course = await refused("training.learning_rate=0.01");
  expect(course.code).toBe(5);
  expect(course.message).toContain("training.learning_rate: 0.001 -> 0.01");
  const allowed = { allowChange: true };
  expect(await refused("training.learning_rate=0.01", allowed)).toMatchObject({ code: 0 });
  expect(await refused("training.seed=9", allowed)).toMatchObject({ code: 5 });
}, 60_000);

test("of two trainers in one folder one wins, the other exits 5", async () => {
  const more = { overrides: ["training.steps=400"] };
  const first = runs.start("twins", more);
  while (!existsSync(join(directoryOf("twins"), "lock"))) await Bun.sleep(5);
  const second = await run("twins", more);
  expect(second.code).toBe(5);
  expect(second.message).toContain("another trainer is at work");
  first.kill(9);
  await first.exited;
}, 30_000);
