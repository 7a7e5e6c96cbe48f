/**
 * @file Runs on folders of tokens: killed anywhere, also across the edges of shards and stages of a mixture, they end as the
 * uninterrupted run; other data or another tokenizer is refused.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openDataset } from "../../src/data/dataset.ts";
import { loadTraining } from "../../src/jobs/load_job.ts";
import { validateRun } from "../../src/jobs/validate_run.ts";
import { checkData, writeData } from "../../src/train/data_record.ts";
import { readMetrics } from "../../src/train/metrics_reader.ts";
import { runTraining, type TrainingRequest } from "../../src/train/run.ts";
import { dataOptions } from "../data/data_options.ts";
import { documentsOf, writeFolder } from "../data/write_folder.ts";
import { ChildRuns } from "./child_runs.ts";
import type { Child } from "./runs_child.ts";

const STEPS = 24;
const TEXT = `
job: gpt/pretrain
architecture: { n_layer: 2, n_head: 2, n_embd: 32, block_size: 32, dropout: 0.1 }
training: { steps: ${STEPS}, per_device_batch_size: 4, accumulate: 2, warmup_steps: 2 }
validation: { interval: 7, batches: 2 }
checkpoint: { interval: 5 }
`;

const runs = new ChildRuns(TEXT);
const { root } = runs;
afterAll(() => runs.remove());

const lengths = (count: number, seed: number) =>
  Array.from({ length: count }, (_, i) => 2 + ((i * 7 + seed * 5) % 31));
const shards = (count: number, documents: number) =>
  Array.from({ length: count }, (_, i) => documentsOf(lengths(documents, i), i));
/** So small that nearly every batch reads across a shard's edge, and the run sees it several times. */
const stream = writeFolder(join(root, "stream"), {
  train: shards(40, 3),
  validation: shards(2, 9),
});
const rows = writeFolder(join(root, "rows"), {
  kind: "rows",
  train: shards(7, 20),
  validation: shards(1, 11),
});

const mixture = `data.mixture=[{path: ${stream}, weight: 1}, {path: ${rows}, weight: 2}]`;
const stages = 'data.stages=[{at: 9, weights: [3, 1]}, {at: "4K tokens", weights: [0, 1]}]';
const KINDS: Record<string, string[]> = {
  stream: [`data.tokens=${stream}`],
  mixture: [mixture, stages],
};

const run = (name: string, overrides: readonly string[], more: Partial<Child> = {}) =>
  runs.run(name, { overrides, ...more });

const metricsOf = (name: string) =>
  readMetrics(join(runs.directory(name), "metrics.jsonl")).map(
    ({ step, tokens, loss, val_loss }) => ({ step, tokens, loss, val_loss }),
  );

/** Two attempts, each killed (-9) some steps on. */
async function killed(name: string, overrides: (attempt: number) => readonly string[]) {
  for (const [attempt, at] of [7, 9].entries()) {
    const kill = { where: "step", at } as const;
    expect(await run(name, overrides(attempt), { kill })).toMatchObject({ killed: true });
  }
}

describe.each(["stream", "mixture"])("kill -9 of a %s", (kind) => {
  const overrides = KINDS[kind] ?? [];
  beforeAll(async () => {
    expect(await run(kind, overrides)).toMatchObject({ code: 0, message: "" });
  }, 30_000);

  test("the end equals the uninterrupted run to the bit", async () => {
    const name = `${kind}-killed`;
    const threads = (attempt: number) => [...overrides, `training.threads=${1 + (attempt % 2)}`];
    await killed(name, threads);
    expect(await run(name, overrides)).toMatchObject({ code: 0 });
    const { "config.yaml": _, ...tensors } = runs.hashes(name, STEPS);
    expect(runs.hashes(kind, STEPS)).toMatchObject(tensors);
    expect(Object.keys(tensors)).toEqual(["model.safetensors", "optimizer.safetensors"]);
    expect(metricsOf(name)).toEqual(metricsOf(kind));
  }, 120_000);
});

test("with another micro-batch at every attempt a step holds the same samples", async () => {
  const overrides = KINDS.mixture ?? [];
  const micro = ["8,1", "2,4", "1,8", "4,2"].map((text) => text.split(","));
  const batch = (attempt: number) => {
    const [size, accumulate] = micro[attempt % 4] ?? [];
    const training = [`per_device_batch_size=${size}`, `accumulate=${accumulate}`];
    return [...overrides, ...training.map((each) => `training.${each}`)];
  };
  await killed("micro", batch);
  expect(await run("micro", batch(4))).toMatchObject({ code: 0 });
  const [all, whole] = [metricsOf("micro"), metricsOf("mixture")];
  expect(all.map(({ tokens }) => tokens)).toEqual(whole.map(({ tokens }) => tokens));
  // Sums over micro-batches of other sizes differ in their last bits.
  for (const [i, { loss }] of all.entries()) expect(loss).toBeCloseTo(whole[i]?.loss ?? 0, 4);
}, 120_000);

describe("what a run may go on with", () => {
  test("the fingerprint of the tokenizer decides", () => {
    const directory = join(root, "record");
    mkdirSync(directory);
    writeData(directory, { tokenizer: "a".repeat(64), content: "x" });
    const check = (tokenizer: string, content: string, allowChange: boolean) => () =>
      checkData(directory, { tokenizer, content }, allowChange);
    expect(check("a".repeat(64), "x", false)).not.toThrow();
    expect(check("b".repeat(64), "x", true)).toThrow("tokens of another tokenizer");
    expect(check("a".repeat(64), "y", false)).toThrow("no longer");
    expect(check("a".repeat(64), "y", true)).not.toThrow();
  });
});

describe("in one process", () => {
  const place = (name: string) => ({ root, project: "general", group: "default", name });
  const train = (name: string, more: Partial<TrainingRequest>, ...overrides: string[]) => {
    const { job, config } = loadTraining({ name: "test", text: TEXT }, overrides);
    return runTraining({ job, config, place: place(name), ...more });
  };

  test("a run goes on with the same content, wherever it lies; with other content if allowed", async () => {
    const made = (salt: number) =>
      writeFolder(join(root, "moving"), { train: [documentsOf([300, 400], salt)] });
    const path = made(1);
    const go = (tokens: string, steps: number, allowChange = false) =>
      train(
        "moving",
        { allowChange },
        `data.tokens=${tokens}`,
        `training.stop_tokens=${steps * 256}`,
      );
    expect((await go(path, 2)).step).toBe(2);
    const moved = join(root, "moved");
    cpSync(made(1), moved, { recursive: true });
    expect((await go(moved, 3)).step).toBe(3);
    made(2);
    await expect(go(path, 4)).rejects.toThrow("no longer what this run was trained on");
    await expect(go(path, 4)).rejects.toMatchObject({ code: "conflict" });
    expect((await go(path, 4, true)).step).toBe(4);
  }, 30_000);

  test("a vocabulary larger than the embedding names both numbers", async () => {
    const small = train("small", {}, `data.tokens=${stream}`, "architecture.vocab_size=200");
    await expect(small).rejects.toThrow(
      "architecture.vocab_size 200 is less than the 256 tokens of the tokenizer bytes",
    );
  });

  test("data.verify finds a flipped byte before the first step", async () => {
    const path = writeFolder(join(root, "damaged"), { train: shards(2, 30) });
    const file = join(path, "train-00001.tokens");
    const bytes = readFileSync(file);
    bytes[77] = (bytes[77] ?? 0) ^ 16;
    writeFileSync(file, bytes);
    const overrides = [`data.tokens=${path}`, "training.steps=1"];
    await expect(train("damaged", {}, ...overrides, "data.verify=true")).rejects.toMatchObject({
      code: "data",
      message: expect.stringContaining(`${file} is damaged`),
    });
    await train("unverified", {}, ...overrides);
  });

  test("nothing held out: no validation, and the run ends well", async () => {
    const path = writeFolder(join(root, "all"), { train: shards(2, 30) });
    const result = await train("all", {}, `data.tokens=${path}`, "training.steps=8");
    expect(result).toMatchObject({ reason: "finished", step: 8, valLoss: null });
    const source = { runDirectory: result.directory };
    await expect(validateRun(source)).rejects.toThrow("nothing is held out");
  });

  test("rows: document masks are on, epochs count packed rows, validation agrees with the run's", async () => {
    const result = await train("rows", {}, `data.tokens=${rows}`, "training.stop_epochs=1.5");
    const lines = readMetrics(join(result.directory, "metrics.jsonl"));
    const packed = (await openDataset(dataOptions({ tokens: rows }))).train({
      ...{ length: 32, seed: 1, samplesPerStep: 8 },
    });
    expect(result.step).toBe(Math.ceil((1.5 * packed.perEpoch) / 8));
    const resolved = readFileSync(join(result.directory, "config.resolved.yaml"), "utf8");
    expect(resolved).toContain("document_mask: true");
    const validation = await validateRun({ runDirectory: result.directory });
    expect(validation.loss).toBe(lines.at(-1)?.val_loss ?? 0);
    expect(validation.bitsPerByte).toBe(lines.at(-1)?.val_bits_per_byte ?? 0);
  });
});
