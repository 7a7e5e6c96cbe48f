/** @file What is done after every save: once for each checkpoint, also when a kill cuts it short or comes before it. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { saveHook } from "../../src/train/save_hooks.ts";
import { readEvents } from "../../src/train/status_files.ts";
import { ChildRuns } from "./child_runs.ts";
import { TestRoot } from "./runs_for_tests.ts";

setDefaultTimeout(60_000);
const runs = new ChildRuns(`
job: gpt/pretrain
architecture: { n_layer: 1, n_head: 2, n_embd: 32, block_size: 32 }
training: { steps: 9, per_device_batch_size: 4, warmup_steps: 2 }
validation: { interval: 0, batches: 1 }
checkpoint: { interval: 3, after_save: [export, note] }
`);
const root = new TestRoot();
afterAll(() => {
  runs.remove();
  root.remove();
});
const noted = (name: string): string =>
  readFileSync(join(runs.directory(name), "noted.txt"), "utf8");
const done = (name: string) =>
  runs.events(name, "hook_done").map(({ step, hook }) => `${step} ${hook}`);
const EACH = "3 true\n6 true\n9 true\n";

test("every save, in the order of the list; exports outlive their checkpoints", async () => {
  expect(await runs.run("plain")).toMatchObject({ code: 0 });
  expect(noted("plain")).toBe(EACH);
  const steps = [3, 6, 9].flatMap((step) => [`${step} export`, `${step} note`]);
  expect(done("plain")).toEqual(steps);
  const names = ["step-000003", "step-000006", "step-000009"];
  expect(readdirSync(join(runs.directory("plain"), "exports")).sort()).toEqual(names);
  const [first] = readdirSync(join(runs.directory("plain"), "checkpoints")).sort();
  expect(first).not.toBe("step-000003");
  // The same command again has nothing to save, and nothing to do twice.
  expect(await runs.run("plain")).toMatchObject({ code: 0 });
  expect(noted("plain")).toBe(EACH);
});

for (const [at, save] of [
  [2, "the second"],
  [3, "the last"],
] as const)
  test(`a kill after ${save} save: what was not done is done when the run goes on`, async () => {
    const name = `killed-${at}`;
    expect((await runs.run(name, { kill: { where: "hook", at } })).killed).toBe(true);
    expect(noted(name)).toBe(
      EACH.split("\n")
        .slice(0, at - 1)
        .join("\n")
        .concat("\n"),
    );
    expect(await runs.run(name)).toMatchObject({ code: 0 });
    expect(noted(name)).toBe(EACH);
    expect(runs.hashes(name, 9)).toEqual(runs.hashes("plain", 9));
  });

test("one that fails is a warning and an event; it is tried again with the next save", async () => {
  const seen: number[] = [];
  saveHook({
    name: "test-fails",
    doc: "fails once",
    async run({ step }) {
      seen.push(step);
      if (seen.length === 1) throw new Error("no network");
    },
  });
  const settings = [
    "training.steps=4",
    "checkpoint.interval=2",
    "checkpoint.after_save=[test-fails]",
  ];
  const { result } = await root.train("fails", settings);
  expect(result.reason).toBe("finished");
  expect(seen).toEqual([2, 4]);
  const events = readEvents(result.directory).filter(({ event }) => event.startsWith("hook_"));
  expect(events).toMatchObject([
    { event: "hook_failed", step: 2, message: "no network" },
    { event: "hook_done", step: 4 },
  ]);
});

test("one that nobody registered is refused before anything is made", async () => {
  const failure = root.start("x", ["checkpoint.after_save=[exprot]"]);
  await expect(failure).rejects.toThrow('no save hook is named "exprot". Did you mean "export"?');
});
