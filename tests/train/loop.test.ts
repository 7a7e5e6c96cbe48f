/** @file What the training loop does besides training: intervals, samples, limits, failures that it survives and steps it leaves out. */
import { afterAll, expect, spyOn, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ValidationLoader } from "../../src/data/loader.ts";
import { gptPretrain } from "../../src/jobs/gpt_pretrain.ts";
import { readMetrics } from "../../src/train/metrics_reader.ts";
import type { Progress } from "../../src/train/progress.ts";
import type { TrainingRequest } from "../../src/train/run.ts";
import { UserError } from "../../src/util/errors.ts";
import { poisonedJob, poisonedText } from "./poisoned_job.ts";
import { TestRoot } from "./runs_for_tests.ts";

const root = new TestRoot();
afterAll(() => root.remove());

type Event = Readonly<Record<string, unknown>>;
const directoryOf = (name: string): string => join(root.path, "runs/general/default", name);

function eventsOf(name: string, kind: string): Event[] {
  const lines = readFileSync(join(directoryOf(name), "events.jsonl"), "utf8")
    .trim()
    .split("\n");
  return lines.map((line) => JSON.parse(line) as Event).filter(({ event }) => event === kind);
}

/** 64 tokens a step. */
const TINY = ["training.per_device_batch_size=2", "architecture.n_layer=1", "validation.batches=2"];

test("intervals in tokens: validation, checkpoints and samples fall on their steps", async () => {
  const samples: Progress[] = [];
  const run = await root.train(
    "intervals",
    [
      ...[...TINY, "training.steps=9", "validation.interval=100 tokens"],
      ...["checkpoint.interval=4", "checkpoint.keep=9", "sampling.interval=200 tokens"],
      ...["sampling.tokens=5", "sampling.prompt=line"],
    ],
    { onProgress: (event) => void (event.kind === "sample" && samples.push(event)) },
  );
  const validated = run.metrics.filter((m) => m.val_loss !== undefined).map((m) => m.step);
  expect(validated).toEqual([2, 4, 5, 7, 8, 9]);
  expect(eventsOf("intervals", "saved").map(({ step }) => step)).toEqual([4, 8, 9]);
  expect(samples.map((event) => event.kind === "sample" && event.step)).toEqual([4, 7]);
  const [first] = eventsOf("intervals", "sample");
  expect(first).toMatchObject({ step: 4, prompt: "line" });
  expect(typeof first?.text).toBe("string");
}, 30_000);

test("samples and validations do not change what is trained", async () => {
  const plain = await root.train("plain", [...TINY, "training.steps=6"]);
  const busy = ["sampling.interval=1", "sampling.tokens=3", "validation.interval=0.001 seconds"];
  const watched = await root.train("watched", [...TINY, ...busy, "training.steps=6"]);
  expect(watched.metrics.filter((m) => m.val_loss !== undefined).length).toBeGreaterThan(3);
  expect(watched.weights.equals(plain.weights)).toBe(true);
}, 30_000);

test("sampling and validation that fail are events; the next interval tries again", async () => {
  let calls = 0;
  const continueText: typeof gptPretrain.continueText = async () => {
    if (calls++ === 0) throw new Error("no words");
    return "words";
  };
  const fill = spyOn(ValidationLoader.prototype, "fill").mockImplementationOnce(() => {
    throw new Error("no held-out text");
  });
  try {
    const often = ["sampling.interval=2", "validation.interval=2", "training.steps=4"];
    const run = await root.train("fails", [...TINY, ...often], {
      job: { ...gptPretrain, continueText },
    });
    expect(run.result).toMatchObject({ reason: "finished", step: 4 });
    const validated = run.metrics.filter((m) => m.val_loss !== undefined).map((m) => m.step);
    expect(validated).toEqual([4]);
  } finally {
    fill.mockRestore();
  }
  expect(eventsOf("fails", "validation_failed")).toMatchObject([
    { step: 2, message: "no held-out text" },
  ]);
  expect(eventsOf("fails", "sampling_failed")).toMatchObject([{ step: 2, message: "no words" }]);
  expect(eventsOf("fails", "sample")).toMatchObject([{ step: 4, text: "words" }]);
}, 30_000);

test("the last save comes before the last validation, which then names the best", async () => {
  const seen: boolean[] = [];
  const { fill } = ValidationLoader.prototype;
  const spy = spyOn(ValidationLoader.prototype, "fill").mockImplementation(function (
    this: ValidationLoader,
    ...args
  ) {
    seen.push(existsSync(join(directoryOf("order"), "checkpoints/step-000002")));
    return fill.apply(this, args);
  });
  try {
    await root.train("order", [...TINY, "training.steps=2", "checkpoint.interval=0"]);
  } finally {
    spy.mockRestore();
  }
  expect(seen).toEqual([true, true]);
  const best = readFileSync(join(directoryOf("order"), "checkpoints/best"), "utf8");
  expect(best).toBe("step-000002\n");
}, 30_000);

test("metrics that a kill kept from being written are written on resume, validation included", async () => {
  const run = await root.train("lost", [...TINY, "training.steps=4"]);
  const path = join(run.result.directory, "metrics.jsonl");
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  writeFileSync(path, `${lines.slice(0, -1).join("\n")}\n`);
  const again = await root.train("lost", [...TINY, "training.steps=4"]);
  const { elapsed_s: _, ...last } = again.metrics.at(-1) ?? {};
  const { elapsed_s: __, ...before } = run.metrics.at(-1) ?? {};
  expect(last).toEqual({ ...before, attempt: 2 });
  expect(again.result.valLoss).toBe(run.result.valLoss);
}, 30_000);

test.each([
  ["tokens=130", 3],
  ["tokens=128", 2],
  ["epochs=0.01", 2],
])(
  "training.stop_%s",
  async (limit, steps) => {
    const name = `stop-${steps}-${limit.length}`;
    const settings = [...TINY, "training.steps=20"];
    const run = await root.train(name, [...settings, `training.stop_${limit}`]);
    expect(run.result).toMatchObject({ reason: "finished", step: steps });
    expect(run.result.valLoss).not.toBeNull();
    // The schedule stays where it is: without the limit the run goes on as if it had never been.
    if (steps !== 3) return;
    const whole = await root.train("unlimited", settings);
    const rest = await root.train(name, settings);
    expect(rest.result.step).toBe(20);
    expect(rest.weights.equals(whole.weights)).toBe(true);
  },
  30_000,
);

test("training.stop_minutes counts over all attempts", async () => {
  const settings = [...TINY, "training.steps=1000000", "training.stop_minutes=0.005"];
  const run = await root.train("minutes", settings);
  expect(run.result.reason).toBe("finished");
  expect(run.result.elapsedSeconds).toBeGreaterThan(0.3);
  expect(run.result.elapsedSeconds).toBeLessThan(5);
  expect(run.result.valLoss).not.toBeNull();
  const again = await root.train("minutes", settings);
  expect(again.result.step).toBe(run.result.step);
}, 30_000);

const poisoned = poisonedText(root.path);
const POISONED = [
  ...[...TINY, `data.text=${poisoned.path}`, "training.steps=24"],
  ...["checkpoint.interval=1", "checkpoint.keep=99"],
];

function hashes(name: string, step: number): string[] {
  const folder = join(directoryOf(name), `checkpoints/step-${String(step).padStart(6, "0")}`);
  const { files } = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as {
    files: { name: string; hash: string }[];
  };
  return files.filter((file) => file.name.endsWith(".safetensors")).map((file) => file.hash);
}

const trainPoisoned = (name: string, more: string[], rest: Partial<TrainingRequest> = {}) =>
  root.train(name, [...POISONED, ...more], { job: poisonedJob("loss"), ...rest });

for (const where of ["loss", "gradient"] as const)
  test(`a ${where} that is not finite halts before the update and names the samples`, async () => {
    const name = `halts-${where}`;
    const failure = trainPoisoned(name, [], { job: poisonedJob(where) });
    const error = await failure.catch((caught: unknown) => caught);
    if (!(error instanceof UserError)) throw error;
    expect(error.code).toBe("run_failed");
    const [event] = eventsOf(name, "nonfinite");
    const step = Number(event?.step);
    const [first = -1, last = -1] = (event?.samples ?? []) as number[];
    expect([first, last]).toEqual([(step - 1) * 2, step * 2 - 1]);
    expect(error.message).toContain(`on the run's samples ${first} to ${last}; the weights`);
    const starts = event?.token_positions as number[];
    const { at } = poisoned;
    expect(starts.some((start) => start <= at && at < start + 32)).toBe(true);
    const saved = readdirSync(join(directoryOf(name), "checkpoints"));
    expect(saved).toContain(`step-${String(step - 1).padStart(6, "0")}`);
    expect(saved).not.toContain(`step-${String(step).padStart(6, "0")}`);
  }, 30_000);

test("steps that are not finite are left out when that is allowed, and resume stays exact", async () => {
  const whole = await trainPoisoned("skips", ["training.skip_nonfinite=2"]);
  expect(whole.result.reason).toBe("finished");
  const events = eventsOf("skips", "nonfinite");
  expect(events.length).toBeGreaterThan(0);
  expect(events.every(({ skipped }) => skipped === true)).toBe(true);
  const step = Number(events[0]?.step);
  expect(hashes("skips", step)).toEqual(hashes("skips", step - 1));
  expect(hashes("skips", step + 1)).not.toEqual(hashes("skips", step));

  const stop = new AbortController();
  const onProgress = (event: Progress) => {
    if (event.kind === "step" && event.metrics.step === step) stop.abort();
  };
  const more = ["training.skip_nonfinite=2"];
  await trainPoisoned("cut", more, { onProgress, signal: stop.signal });
  const { result } = await trainPoisoned("cut", more);
  expect(hashes("cut", 24)).toEqual(hashes("skips", 24));
  const losses = (directory: string) =>
    readMetrics(join(directory, "metrics.jsonl")).map((m) => m.loss);
  expect(losses(result.directory)).toEqual(losses(whole.result.directory));
}, 60_000);

test("a gradient far over what is usual halts, or is left out, and resume stays exact", async () => {
  const settings = ["training.spike_factor=10", "training.steps=80", "checkpoint.interval=7"];
  const job = poisonedJob("spike");
  const error = await trainPoisoned("spike", settings, { job }).catch((caught: unknown) => caught);
  if (!(error instanceof UserError)) throw error;
  expect(error.code).toBe("run_failed");
  expect(error.message).toMatch(/the norm of the gradient is [\d.]+, over [\d.]+, 10 times what/);
  const step = Number(eventsOf("spike", "nonfinite")[0]?.step);
  expect(step).toBeGreaterThan(17);

  const more = [...settings, "training.skip_nonfinite=9"];
  const whole = await trainPoisoned("spikes", more, { job });
  expect(whole.result.reason).toBe("finished");
  expect(eventsOf("spikes", "nonfinite").map((event) => event.step)).toContain(step);
  const stop = new AbortController();
  const onProgress = (event: Progress) => {
    if (event.kind === "step" && event.metrics.step === step - 2) stop.abort();
  };
  await trainPoisoned("spikes-cut", more, { job, onProgress, signal: stop.signal });
  await trainPoisoned("spikes-cut", more, { job });
  expect(hashes("spikes-cut", 80)).toEqual(hashes("spikes", 80));
}, 60_000);

test("the allowance is the whole run's: an attempt does not bring a new one", async () => {
  const name = "allowance";
  const failed = (steps: number) =>
    trainPoisoned(name, ["training.skip_nonfinite=1", `training.steps=${steps}`], {
      allowChange: true,
    }).catch((error: unknown) => String(error));
  const first = await failed(200);
  expect(String(first)).toContain("(loss Infinity)");
  const skips = eventsOf(name, "nonfinite").map(({ skipped }) => skipped);
  expect(skips).toEqual([true, false]);
  await failed(200);
  expect(eventsOf(name, "nonfinite").map(({ skipped }) => skipped)).toEqual([true, false, false]);
}, 60_000);
