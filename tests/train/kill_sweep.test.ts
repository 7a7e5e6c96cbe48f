/**
 * @file Runs that are killed (-9) at chosen points of step, save and validation: at the end every file of the last checkpoint has the
 * hash of the uninterrupted run, whatever the number of threads. `scripts/test --thorough` runs twenty kills of one run for each number
 * of threads, and every write, fsync, rename, create and mkdir of two saves; without it a part of both.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { ChildRuns, THOROUGH } from "./child_runs.ts";
import type { KillAt } from "./runs_child.ts";

setDefaultTimeout(THOROUGH ? 1_800_000 : 120_000);

/** With dropout, and with gradients of two micro-batches. */
const runs = new ChildRuns(`
job: gpt/pretrain
architecture: { n_layer: 2, n_head: 2, n_embd: 32, block_size: 32, dropout: 0.1 }
training: { per_device_batch_size: 4, accumulate: 2, warmup_steps: 2 }
validation: { batches: 2 }
`);
afterAll(() => runs.remove());

/** Long enough that no kill of the sweep comes too late: an attempt does eight steps at most. */
const KILLS = THOROUGH ? 20 : 5;
const STEPS = 8 * KILLS;
const settings = (threads: number): string[] => [
  ...[`training.threads=${threads}`, `training.steps=${STEPS}`],
  ...["checkpoint.interval=2", "validation.interval=3"],
];

type Kill = KillAt | { readonly fault: string };

/** Cycles through step, save, validation; the times within an attempt differ from kill to kill. */
function killNumber(i: number): Kill {
  const round = Math.floor(i / 3);
  if (i % 3 === 0) return { where: "step", at: 1 + ((round * 3) % 7) };
  if (i % 3 === 2) return { where: "validation", at: 1 + (round % 4) };
  const operations = [
    "write:3",
    "fsync:9",
    "rename:5",
    "create:7",
    "fsync:14",
    "write:1",
    "mkdir:2",
  ];
  return { fault: `${operations[round % operations.length]}:kill` };
}

for (const threads of [1, 2])
  describe(`${threads} thread${threads === 1 ? "" : "s"}`, () => {
    const overrides = settings(threads);
    const [whole, killed] = [`whole-${threads}`, `killed-${threads}`];
    beforeAll(async () => {
      expect(await runs.run(whole, { overrides })).toMatchObject({ code: 0 });
    });

    test(`${KILLS} kills of one run, across step, save and validation`, async () => {
      for (let i = 0; i < KILLS; i++) {
        const kill = killNumber(i);
        const ended =
          "fault" in kill
            ? await runs.run(killed, { overrides }, { THESEUS_FAULT: kill.fault })
            : await runs.run(killed, { overrides, kill });
        expect({ kill, ...ended }).toMatchObject({ kill, killed: true });
      }
      expect(await runs.run(killed, { overrides })).toMatchObject({ code: 0 });
      expect(runs.events(killed, "started")).toHaveLength(KILLS + 1);
      const hashes = runs.hashes(killed, STEPS);
      expect(hashes).toEqual(runs.hashes(whole, STEPS));
      expect(Object.keys(hashes)).toEqual(
        expect.arrayContaining(["model.safetensors", "optimizer.safetensors", "config.yaml"]),
      );
      expect(runs.losses(killed)).toEqual(runs.losses(whole));
    });
  });

test("one thread and two end with the same tensors", () => {
  const { "config.yaml": _, ...one } = runs.hashes("whole-1", STEPS);
  const { "config.yaml": __, ...two } = runs.hashes("whole-2", STEPS);
  expect(two).toEqual(one);
});

/** Two saves, the second with retention and the best. */
const SHORT = [
  ...["training.threads=1", "training.steps=6", "checkpoint.interval=2", "validation.interval=4"],
  "checkpoint.keep=2",
];
const REDUCED = ["write:4", "fsync:6", "rename:2", "rename:5", "create:9"];

describe("inside a save", () => {
  const killedAt = async (fault: string): Promise<boolean> => {
    const name = fault.replaceAll(":", "-");
    const overrides = SHORT;
    const { killed } = await runs.run(name, { overrides }, { THESEUS_FAULT: `${fault}:kill` });
    expect(await runs.run(name, { overrides })).toMatchObject({ code: 0 });
    const left = readdirSync(join(runs.directory(name), "checkpoints"));
    expect(left.filter((entry) => entry.includes("tmp-"))).toEqual([]);
    expect({ fault, ...runs.hashes(name, 6) }).toEqual({ fault, ...runs.hashes("short", 6) });
    expect(runs.losses(name)).toEqual(runs.losses("short"));
    return killed;
  };
  beforeAll(async () => {
    expect(await runs.run("short", { overrides: SHORT })).toMatchObject({ code: 0 });
  });

  if (THOROUGH)
    for (const operation of ["write", "fsync", "rename", "create", "mkdir"])
      test(`every ${operation}`, async () => {
        let k = 0;
        while (await killedAt(`${operation}:${++k}`));
        // At least one a save: the loop went through all of them.
        expect(k).toBeGreaterThan(3);
      });
  else
    test.each(REDUCED)("%s", async (fault) => {
      expect(await killedAt(fault)).toBe(true);
    });
});

test("between the rename of a folder and that of latest, the newer folder is found", async () => {
  const overrides = SHORT;
  // The second rename of a run is that of its first `latest`.
  const ended = await runs.run("early", { overrides }, { THESEUS_FAULT: "rename:2:kill" });
  expect(ended.killed).toBe(true);
  const left = readdirSync(join(runs.directory("early"), "checkpoints"));
  expect(left).toContain("step-000002");
  expect(left).not.toContain("latest");
  expect(await runs.run("early", { overrides })).toMatchObject({ code: 0 });
  expect(runs.events("early", "resumed")).toMatchObject([{ step: 2 }]);
  expect(runs.hashes("early", 6)).toEqual(runs.hashes("short", 6));
});
