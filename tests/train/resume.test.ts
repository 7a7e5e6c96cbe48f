/**
 * @file Runs that are killed, and what is left: a resumed run equals the uninterrupted one to the bit, whatever the moment. Set
 * THESEUS_THOROUGH=1 for the whole sweep (twenty kills, every k-th write, fsync and rename).
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readMetrics } from "../../src/train/metrics_reader.ts";
import type { Child } from "./runs_child.ts";

const thorough = process.env.THESEUS_THOROUGH === "1";
const root = mkdtempSync(join(tmpdir(), "theseus-resume-"));
afterAll(() => rmSync(root, { recursive: true }));

const TEXT = `
job: gpt/pretrain
architecture: { n_layer: 2, n_head: 2, n_embd: 32, block_size: 32, dropout: 0.1 }
training: { steps: 24, per_device_batch_size: 4, accumulate: 2, warmup_steps: 2 }
validation: { interval: 7, batches: 2 }
checkpoint: { interval: 5 }
`;

const directoryOf = (name: string): string => join(root, "runs/general/default", name);

function start(name: string, more: Partial<Child> = {}, env: Record<string, string> = {}) {
  const child: Child = { root, name, text: TEXT, overrides: [], ...more };
  return Bun.spawn(["bun", join(import.meta.dir, "runs_child.ts"), JSON.stringify(child)], {
    env: { ...process.env, ...env },
    stdout: "ignore",
    stderr: "pipe",
  });
}

async function run(name: string, more: Partial<Child> = {}, env: Record<string, string> = {}) {
  const child = start(name, more, env);
  const message = await new Response(child.stderr).text();
  return { code: await child.exited, signal: child.signalCode, message };
}

/** Hashes of all files of the last checkpoint but the manifest's own times. */
function lastHashes(name: string): Record<string, string> {
  const folder = join(directoryOf(name), "checkpoints/step-000024");
  const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8"));
  const files = manifest.files as { name: string; hash: string }[];
  return Object.fromEntries(files.map((file) => [file.name, file.hash]));
}

const lossesOf = (name: string): number[] =>
  readMetrics(join(directoryOf(name), "metrics.jsonl")).map((metrics) => metrics.loss);

let whole: Record<string, string> = {};
beforeAll(async () => {
  expect(await run("whole", { overrides: ["training.threads=1"] })).toMatchObject({ code: 0 });
  whole = lastHashes("whole");
  expect(Object.keys(whole)).toEqual(["model.safetensors", "optimizer.safetensors", "config.yaml"]);
}, 60_000);

/** config.yaml names the threads. */
function expectWhole(name: string): void {
  const { "config.yaml": _, ...tensors } = lastHashes(name);
  const { "config.yaml": __, ...expected } = whole;
  expect(tensors).toEqual(expected);
  expect(lossesOf(name)).toEqual(lossesOf("whole"));
}

describe("kill -9", () => {
  test("at random moments: the end equals the uninterrupted run, with one thread and with two", async () => {
    let seed = 12345;
    const random = (): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return seed / 2 ** 32;
    };
    let kills = 0;
    for (let attempt = 0; kills < (thorough ? 20 : 4) && attempt < 60; attempt++) {
      const child = start("killed", { overrides: [`training.threads=${1 + (attempt % 2)}`] });
      await Bun.sleep(200 + random() * 700);
      child.kill(9);
      await child.exited;
      kills += child.signalCode === "SIGKILL" ? 1 : 0;
      if (child.signalCode === null) break;
    }
    expect(kills).toBeGreaterThan(1);
    expect(await run("killed", { overrides: ["training.threads=2"] })).toMatchObject({ code: 0 });
    expectWhole("killed");
  }, 120_000);

  const points = thorough
    ? ["write", "fsync", "rename", "create", "mkdir"].flatMap((kind) =>
        Array.from({ length: 14 }, (_, k) => `${kind}:${k + 1}:kill`),
      )
    : ["write:4:kill", "fsync:6:kill", "rename:3:kill", "rename:4:kill"];
  test("inside a save: no half checkpoint is ever picked up", async () => {
    for (const fault of points) {
      const name = fault.replaceAll(":", "-");
      await run(name, {}, { THESEUS_FAULT: fault });
      expect(await run(name)).toMatchObject({ code: 0 });
      const left = readdirSync(join(directoryOf(name), "checkpoints"));
      expect(left.filter((entry) => entry.includes("tmp-"))).toEqual([]);
      expectWhole(name);
    }
  }, 600_000);
});

test("a save that fails is a warning and an event, and the run goes on", async () => {
  const { code, message } = await run("full", {}, { THESEUS_FAULT: "write:3:enospc" });
  expect(code).toBe(0);
  expect(message).toContain("ENOSPC");
  expect(message).toContain("training goes on");
  const events = readFileSync(join(directoryOf("full"), "events.jsonl"), "utf8");
  expect(events).toContain('"event":"save_failed","step":5');
  expectWhole("full");
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
  const first = start("twins", more);
  while (!existsSync(join(directoryOf("twins"), "lock"))) await Bun.sleep(5);
  const second = await run("twins", more);
  expect(second.code).toBe(5);
  expect(second.message).toContain("another trainer is at work");
  first.kill(9);
  await first.exited;
}, 30_000);
