/** @file The batch of a step: sizes that contradict each other, and `auto`, which takes the largest that fits and keeps it. */
import { afterAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gptPretrain } from "../../src/jobs/gpt_pretrain.ts";
import { batchOf } from "../../src/train/batch_size.ts";
import { cpuMachine } from "../../src/train/machine.ts";
import { planRun } from "../../src/train/plan.ts";
import { tinyConfig } from "../nn/models_for_tests.ts";
import { TestRoot } from "./runs_for_tests.ts";

const root = new TestRoot();
afterAll(() => root.remove());

const AUTO = "training.per_device_batch_size=auto";
const target = { kind: "cpu", level: "v3", threads: 1 } as const;
const plan = (freeBytes: number, ...overrides: string[]) =>
  planRun(gptPretrain, tinyConfig(...overrides), cpuMachine(target, freeBytes));
const bytesOf = (rows: number) =>
  plan(Number.POSITIVE_INFINITY, `training.per_device_batch_size=${rows}`).memory.totalBytes;

test("auto is the largest power of two that fits, to the byte", () => {
  const room = bytesOf(8);
  expect(room).toBeGreaterThan(bytesOf(4));
  expect(plan(room, AUTO)).toMatchObject({ rows: 8, accumulate: 1 });
  expect(plan(room, AUTO).memory.totalBytes).toBe(room);
  expect(plan(room - 1, AUTO).rows).toBe(4);
  expect(plan(Number.POSITIVE_INFINITY, AUTO).rows).toBe(64);
  expect(() => plan(bytesOf(1) - 1, AUTO)).toThrow("not even one sample at a time fits");
});

test("with a global batch, auto divides it and accumulates the rest", () => {
  const global = [AUTO, "training.global_batch_size=24"];
  expect(plan(Number.POSITIVE_INFINITY, ...global)).toMatchObject({ rows: 24, accumulate: 1 });
  const room = plan(
    Number.POSITIVE_INFINITY,
    "training.global_batch_size=24",
    "training.per_device_batch_size=6",
  ).memory.totalBytes;
  expect(plan(room, ...global)).toMatchObject({ rows: 6, accumulate: 4 });
  expect(plan(room - 1, ...global)).toMatchObject({ rows: 4, accumulate: 6 });
});

test("a global batch that the others contradict", () => {
  const batch = (...settings: string[]) =>
    batchOf(tinyConfig(...settings.map((setting) => `training.${setting}`)));
  expect(batch("global_batch_size=12", "per_device_batch_size=4")).toEqual({
    ...{ rows: 4, accumulate: 3 },
  });
  expect(() => batch("global_batch_size=12", "per_device_batch_size=5")).toThrow(
    "training.global_batch_size 12 is no multiple of per_device_batch_size 5",
  );
  const three = ["global_batch_size=12", "per_device_batch_size=4", "accumulate=2"];
  expect(() => batch(...three)).toThrow("is not per_device_batch_size 4 * accumulate 2");
});

test("what auto was settled to is written down, and kept on resume; the global batch may be cut otherwise", async () => {
  const few = ["training.global_batch_size=4", "architecture.n_layer=1"];
  const resolved = (directory: string) =>
    readFileSync(join(directory, "config.resolved.yaml"), "utf8");
  const { result } = await root.train("auto", [...few, AUTO, "training.steps=2"]);
  expect(resolved(result.directory)).toMatch(/per_device_batch_size: 4$/m);
  const cut = ["training.per_device_batch_size=2", "training.accumulate=2"];
  const more = [...few, ...cut, "training.steps=3"];
  await root.train("auto", more, { allowChange: true });
  expect(resolved(result.directory)).toMatch(/per_device_batch_size: 2$/m);
  // 4 would fit, and fitted before: 2 is the run's own by now.
  const last = await root.train("auto", [...few, AUTO, "training.steps=4"], { allowChange: true });
  expect(resolved(result.directory)).toMatch(/per_device_batch_size: 2$/m);
  expect(resolved(result.directory)).toMatch(/accumulate: 2 /);
  expect(last.result.step).toBe(4);
  const other = ["training.global_batch_size=8", AUTO];
  await expect(root.start("auto", ["architecture.n_layer=1", ...other])).rejects.toThrow(
    "training.global_batch_size: 4 -> 8",
  );
}, 30_000);
