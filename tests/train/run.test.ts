/** @file Whole training runs of a small model: they learn, repeat to the bit, end when told, and halt when they must. */
import { afterAll, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { sampleRun } from "../../src/jobs/sample_run.ts";
import type { Progress } from "../../src/train/progress.ts";
import { UserError } from "../../src/util/errors.ts";
import { LLAMA_STYLE } from "../nn/models_for_tests.ts";
import { TestRoot } from "./runs_for_tests.ts";

const root = new TestRoot();
afterAll(() => root.remove());

const losses = (run: { metrics: readonly { loss: number }[] }) => run.metrics.map((m) => m.loss);

test("a run learns, validates at its intervals and can be sampled", async () => {
  const run = await root.train("learns", ["validation.interval=20", "training.steps=50"]);
  const first = losses(run)[0] ?? 0;
  expect(Math.abs(first - Math.log(256))).toBeLessThan(0.2);
  expect(run.result.loss).toBeLessThan(2);
  expect(run.metrics.map((m) => m.step)).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
  expect(run.metrics.at(-1)?.tokens).toBe(50 * 8 * 32);
  const validated = run.metrics.filter((m) => m.val_loss !== undefined);
  expect(validated.map((m) => m.step)).toEqual([20, 40, 50]);
  expect(run.result.valLoss).toBe(validated.at(-1)?.val_loss ?? null);
  expect(run.result.valBitsPerByte).toBeCloseTo((run.result.valLoss ?? 0) / Math.LN2, 10);
  const { directory } = run.result;
  for (const file of ["run.json", "config.resolved.yaml", "env.json"])
    expect(existsSync(join(directory, file))).toBe(true);
  const resolved = readFileSync(join(directory, "config.resolved.yaml"), "utf8");
  expect(resolved).toMatch(/^ {2}precision: (f32|mixed)$/m);

  const ask = (seed: number, temperature: number) =>
    sampleRun({
      ...{ runDirectory: directory, prompt: "line 1", maxTokens: 60, topK: 0 },
      ...{ seed, temperature },
    });
  const [a, again, other] = [await ask(1, 1), await ask(1, 1), await ask(2, 1)];
  expect(a).toBe(again);
  expect(a).not.toBe(other);
  expect(await ask(1, 0)).toContain("and more");
}, 30_000);

test("the same seed gives the same bits, with one thread and with two", async () => {
  const settings = ["architecture.dropout=0.1", "training.steps=8"];
  const one = await root.train("one", [...settings, "training.threads=1"]);
  const two = await root.train("two", [...settings, "training.threads=2"]);
  const again = await root.train("again", [...settings, "training.threads=2"]);
  for (const run of [two, again]) {
    expect(losses(run)).toEqual(losses(one));
    expect(run.metrics.map((m) => m.grad_norm)).toEqual(one.metrics.map((m) => m.grad_norm));
    expect(run.weights.equals(one.weights)).toBe(true);
  }
  const other = await root.train("other", [...settings, "training.seed=2"]);
  expect(losses(other)).not.toEqual(losses(one));
}, 30_000);

test("one and eight accumulation steps have the same gradients", async () => {
  const norms = async (name: string, rows: number, accumulate: number) => {
    const run = await root.train(name, [
      `training.per_device_batch_size=${rows}`,
      `training.accumulate=${accumulate}`,
      "training.steps=3",
      "architecture.dropout=0.1",
    ]);
    return run.metrics.map((m) => m.grad_norm);
  };
  const whole = await norms("whole", 16, 1);
  const parts = await norms("parts", 2, 8);
  whole.forEach((norm, i) => {
    expect(Math.abs((parts[i] ?? 0) - norm) / norm).toBeLessThan(2e-6);
  });
});

test("mixed precision follows f32 closely, but is not f32", async () => {
  const settings = [...LLAMA_STYLE.filter((o) => !o.includes("head")), "training.steps=12"];
  const exact = await root.train("exact", [...settings, "training.precision=f32"]);
  const mixed = await root.train("mixed", [...settings, "training.precision=mixed"]);
  expect(losses(mixed)).not.toEqual(losses(exact));
  losses(mixed).forEach((loss, i) => {
    expect(Math.abs(loss - (losses(exact)[i] ?? 0))).toBeLessThan(0.03);
  });
}, 30_000);

test("a signal ends the run after the step, with its weights", async () => {
  const stop = new AbortController();
  const onProgress = (progress: Progress) => {
    if (progress.kind === "step" && progress.metrics.step === 5) stop.abort();
  };
  const run = await root.train("stopped", [], { onProgress, signal: stop.signal });
  expect(run.result.reason).toBe("interrupted");
  expect(run.result.step).toBeGreaterThanOrEqual(5);
  expect(run.result.step).toBeLessThanOrEqual(7);
  expect(run.metrics.at(-1)?.step).toBe(run.result.step);
});

test("a gradient that is not finite halts the run and names the step", async () => {
  const failure = root.start("diverges", [
    "training.learning_rate=1e30",
    "training.warmup_steps=0",
  ]);
  const error = await failure.catch((caught: unknown) => caught);
  if (!(error instanceof UserError)) throw error;
  expect(error.code).toBe("run_failed");
  expect(error.message).toMatch(/^step \d+: the norm of the gradient is (NaN|Infinity) \(loss /);
});

test("a second run of a name goes on where the first ended, --fresh moves the old one aside", async () => {
  const short = ["training.steps=1"];
  const first = await root.train("named", short);
  const again = await root.train("named", short);
  expect(again.result.step).toBe(1);
  expect(again.result.loss).toBe(first.result.loss);
  expect(again.metrics.length).toBe(1);
  await root.train("named", short, { fresh: true });
  expect(existsSync(`${first.result.directory}.old-1/model.safetensors`)).toBe(true);
  await expect(root.start("../up", short)).rejects.toThrow("expected a name of letters");
});

test("a vocabulary smaller than the tokenizer's is refused before anything is made", async () => {
  await expect(root.start("small", ["architecture.vocab_size=100"])).rejects.toThrow(
    "architecture.vocab_size 100 is less than the 256 tokens of the tokenizer bytes",
  );
  expect(existsSync(join(root.path, "runs/general/default/small"))).toBe(false);
});
