/** @file A quick run is the run of the command line, to the bit; loops end it cleanly; looking in changes nothing. */
import { afterAll, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { main } from "../../src/cli/main.ts";
import { configSource, loadJob } from "../../src/jobs/load_job.ts";
import { scheduleFields } from "../../src/optim/fields.ts";
import { quick } from "../../src/quick.ts";
import { readMetrics } from "../../src/train/metrics_reader.ts";
import { UserError } from "../../src/util/errors.ts";
import { QuickRoot } from "./small_run.ts";

const root = new QuickRoot();
afterAll(() => root.remove());

const weightsIn = (directory: string) => readFileSync(join(directory, "model.safetensors"));
const lossesIn = (directory: string) =>
  readMetrics(join(directory, "metrics.jsonl")).map(({ step, loss, grad_norm, tokens }) => ({
    ...{ step, loss, grad_norm, tokens },
  }));

async function failure(action: () => Promise<unknown>): Promise<UserError> {
  const error = await action().then(
    () => undefined,
    (caught: unknown) => caught,
  );
  if (error instanceof UserError) return error;
  throw new Error(`expected a UserError, got ${error}`);
}

test("the saved configuration, run by the command line, repeats the run to the bit", async () => {
  await using run = await root.run("whole");
  run.config.architecture.dropout = 0.1;
  const file = join(root.path, "whole.yaml");
  await run.save(file, { chip: "h100", chips: 8 });
  const text = readFileSync(file, "utf8");
  expect(text).toStartWith("# gpt/pretrain: train a GPT from scratch on text\n");
  expect(text).toMatch(/^request:\n( {2}.*\n)*? {2}chip: h100\b.*\n( {2}.*\n)*? {2}chips: 8\b/m);
  const finished = await run.train();
  expect<unknown>(run.result).toBe(finished);
  expect(finished).toMatchObject({ reason: "finished", step: 6, directory: run.directory });
  expect(await main(["run", "again", file, root.path, "--quiet"])).toBe(0);
  const again = join(root.path, "runs/general/default/again");
  expect(lossesIn(again)).toEqual(lossesIn(run.directory));
  expect(lossesIn(again)).toHaveLength(6);
  expect(weightsIn(again).equals(weightsIn(run.directory))).toBe(true);
  const resolved = (directory: string) =>
    readFileSync(join(directory, "config.resolved.yaml"), "utf8").replace(
      /^#.*\n|^ {2}chips?: .*\n/gm,
      "",
    );
  expect(resolved(again)).toBe(resolved(run.directory));
  const { valLoss } = finished;
  expect((await run.validate()).loss).toBe(valLoss ?? Number.NaN);
}, 30_000);

test("iterating gives what is written, and looking between steps changes no bit", async () => {
  await using plain = await root.run("plain");
  await plain.train();
  await using watched = await root.run("watched");
  const seen: { step: number; loss: number }[] = [];
  const found: { loss: number; text: string }[] = [];
  for await (const { step, loss } of watched) {
    seen.push({ step, loss });
    if (step % 3 !== 0) continue;
    const text = await watched.sample("line", { maxTokens: 8, temperature: 0 });
    found.push({ loss: (await watched.validate()).loss, text });
  }
  expect(seen).toEqual(lossesIn(plain.directory).map(({ step, loss }) => ({ step, loss })));
  expect(lossesIn(watched.directory)).toEqual(lossesIn(plain.directory));
  expect(weightsIn(watched.directory).equals(weightsIn(plain.directory))).toBe(true);
  expect(found[1]?.loss).toBe(plain.result?.valLoss ?? Number.NaN);
  expect(found[0]?.loss).toBeGreaterThan(found[1]?.loss ?? 0);
  expect(found[1]?.text).toBe(await plain.sample("line", { maxTokens: 8, temperature: 0 }));
}, 30_000);

test("leaving the loop ends the run with the step that was seen last", async () => {
  await using run = await root.run("left");
  run.config.training.steps = 1000;
  for await (const { step } of run) if (step === 3) break;
  expect(run.result).toMatchObject({ reason: "interrupted", step: 3 });
  expect(lossesIn(run.directory).map(({ step }) => step)).toEqual([1, 2, 3]);
  expect(existsSync(join(run.directory, "model.safetensors"))).toBe(true);
  expect((await run.validate()).bitsPerByte).toBeGreaterThan(0);
});

test("an error in the loop ends the run and is the error that is seen", async () => {
  await using run = await root.run("thrown");
  run.config.training.steps = 1000;
  const loop = async () => {
    for await (const _ of run) throw new Error("mine");
  };
  await expect(loop()).rejects.toThrow("mine");
  expect(run.result).toMatchObject({ reason: "interrupted", step: 1 });
});

test("a run that fails throws out of the loop, once", async () => {
  const error = await failure(async () => {
    await using run = await root.run("diverges");
    run.config.training.learning_rate = 1e30;
    run.config.training.warmup_steps = 0;
    for await (const _ of run);
  });
  expect(error.code).toBe("run_failed");
  expect(error).not.toBeInstanceOf(SuppressedError);
});

test("a look that nobody awaits holds the run until it is done", async () => {
  await using run = await root.run("unawaited");
  const results: Promise<{ loss: number }>[] = [];
  for await (const _ of run) results.push(run.validate(), run.validate());
  const losses = (await Promise.all(results)).map(({ loss }) => loss);
  expect(new Set(losses).size).toBe(6);
  expect(losses.at(-1)).toBe(run.result?.valLoss ?? Number.NaN);
});

test("a run starts once, and is not looked into while it computes", async () => {
  await using run = await root.run("once");
  const training = run.train();
  expect(() => {
    run.config.training.steps = 9;
  }).toThrow("training.steps  the run has started, its settings are fixed");
  expect((await failure(() => run.validate())).message).toBe("the run once is computing");
  expect((await failure(() => run.train())).message).toBe("the run once has started already");
  await training;
  expect((await failure(() => run.train())).message).toBe("the run once has ended already");
  const unstarted = await root.run("unstarted");
  const { code, message } = await failure(() => unstarted.sample("a"));
  expect(code).toBe("not_found");
  expect(message).toContain("is no finished run");
});

test("leaving the scope, or a signal, ends the run at a step boundary", async () => {
  const stop = new AbortController();
  let first: Awaited<ReturnType<typeof root.run>> | undefined;
  {
    await using run = await root.run("scope");
    run.config.training.steps = 1000;
    first = run;
    run.train();
  }
  expect(first.result?.reason).toBe("interrupted");
  await using second = await root.run("signal", { signal: stop.signal });
  second.config.training.steps = 1000;
  for await (const { step } of second) if (step === 2) stop.abort();
  expect(second.result).toMatchObject({ reason: "interrupted", step: 2 });
});

test("names, jobs, files and hardware are checked", async () => {
  const place = { root: root.path, name: "x" };
  const messages = [
    await failure(() => quick("gpt/pretrian", place)),
    await failure(() => quick("gpt/pretrain", { ...place, name: "../x" })),
    await failure(() => quick("gpt/pretrain", { ...place, from: "gpt/tiny-sotuu" })),
    await failure(async () => (await root.run("y")).save(join(root.path, "no/such/y.yaml"))),
    await failure(async () => (await root.run("y")).save("y.yaml", { chips: 0 })),
  ].map(({ message }) => message.replaceAll(root.path, "ROOT"));
  expect(messages).toEqual([
    'no job is named "gpt/pretrian". Did you mean "gpt/pretrain"?',
    'expected a name of letters, digits, ".", "_" and "-", got "../x"',
    'no file and no preset is named gpt/tiny-sotuu. Did you mean "gpt/tiny-sotu"?',
    "cannot write ROOT/no/such/y.yaml: ENOENT: no such file or directory, open 'ROOT/no/such/y.yaml'",
    "request.chips  expected integer >= 1, got 0",
  ]);
});

test("it may start from a preset", async () => {
  const run = await quick("gpt/pretrain", { root: root.path, name: "p", from: "gpt/tiny-sotu" });
  expect(run.config.architecture.n_layer).toBe(4);
  const preset = loadJob(configSource("gpt/tiny-sotu")).config;
  expect(run.config.training.learning_rate).toBe(preset.get(scheduleFields.learningRate));
});
