/** @file Signals to real processes: the first saves and exits 75, a second Ctrl-C exits 130 at once; both leave a run that goes on. */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readMetrics } from "../../src/train/metrics_reader.ts";
import { readExit } from "../../src/train/status_files.ts";

const root = mkdtempSync(join(tmpdir(), "theseus-signals-"));
const main = join(import.meta.dir, "../../src/main.ts");
afterAll(() => rmSync(root, { recursive: true }));

const SMALL = [
  ...["n_layer=1", "n_head=2", "n_embd=32", "block_size=32"].map((s) => `architecture.${s}`),
  ...["training.per_device_batch_size=2", "training.steps=1000000", "checkpoint.interval=50"],
  ...["validation.interval=0", "training.threads=1"],
];
/** A step of a second or more, within which a second signal finds the first one waiting. */
const SLOW = [
  ...["n_layer=6", "n_head=4", "n_embd=256", "block_size=256"].map((s) => `architecture.${s}`),
  ...["training.per_device_batch_size=8", "training.steps=1000000", "checkpoint.interval=1"],
  ...["validation.interval=0", "training.threads=1"],
];

const directoryOf = (name: string): string => join(root, "runs/general/default", name);
const stepsOf = (name: string) => readMetrics(join(directoryOf(name), "metrics.jsonl"));
const checkpointsOf = (name: string): string[] =>
  readdirSync(join(directoryOf(name), "checkpoints"));

function start(name: string, settings: readonly string[]) {
  const command = [process.execPath, main, "run", name, "gpt/tiny-sotu", root, ...settings];
  const child = Bun.spawn(command, { stdout: "ignore", stderr: "pipe" });
  let text = "";
  const reading = (async () => {
    const decoder = new TextDecoder();
    for await (const part of child.stderr) text += decoder.decode(part);
  })();
  return {
    send: (signal: NodeJS.Signals) => child.kill(signal),
    async until(condition: () => boolean): Promise<void> {
      while (!condition()) {
        if (child.exitCode !== null) throw new Error(`it ended: ${text}`);
        await Bun.sleep(5);
      }
    },
    says: (words: string): boolean => text.includes(words),
    async ended(): Promise<{ code: number; text: string }> {
      const code = await child.exited;
      await reading;
      return { code, text };
    },
  };
}

describe("one signal", () => {
  const cases = [
    ["SIGINT", []],
    ["SIGTERM", []],
    ["SIGUSR2", []],
    ["SIGHUP", ["training.preemption_signal=SIGHUP"]],
  ] as const;
  for (const [signal, more] of cases)
    test(`${signal} saves at the step boundary and exits 75; the run goes on from there`, async () => {
      const name = signal.toLowerCase();
      const settings = [...SMALL, ...more];
      const run = start(name, settings);
      await run.until(() => stepsOf(name).length > 3);
      run.send(signal);
      const { code, text } = await run.ended();
      expect(code).toBe(75);
      expect(text).toContain(`${signal}: stopping after this step`);
      const last = stepsOf(name).at(-1)?.step ?? 0;
      expect(readExit(directoryOf(name))).toMatchObject({ state: "interrupted", step: last });
      expect(checkpointsOf(name)).toContain(`step-${String(last).padStart(6, "0")}`);
      const again = start(name, [...settings, `training.stop_tokens=${(last + 2) * 64}`]);
      const end = await again.ended();
      expect(end.code).toBe(0);
      expect(end.text).toContain(`goes on from step ${last}`);
      expect(stepsOf(name).map(({ step }) => step)).toEqual(
        Array.from({ length: last + 2 }, (_, i) => i + 1),
      );
    }, 60_000);
});

test("training.preemption_signal=none leaves the signal its usual meaning", async () => {
  const run = start("none", [...SMALL, "training.preemption_signal=none"]);
  await run.until(() => stepsOf("none").length > 3);
  run.send("SIGUSR2");
  expect((await run.ended()).code).toBe(140);
}, 60_000);

test("a second Ctrl-C quits at once with 130; the next run goes on from the last checkpoint", async () => {
  const name = "twice";
  const run = start(name, SLOW);
  await run.until(() => existsSync(join(directoryOf(name), "checkpoints/latest")));
  run.send("SIGINT");
  await run.until(() => run.says("stopping after this step"));
  run.send("SIGINT");
  const { code } = await run.ended();
  expect(code).toBe(130);
  expect(existsSync(join(directoryOf(name), "exit.json"))).toBe(false);

  const again = start(name, SLOW);
  await again.until(() => again.says("goes on from step"));
  again.send("SIGTERM");
  expect((await again.ended()).code).toBe(75);
  expect(checkpointsOf(name).filter((entry) => entry.includes("tmp"))).toEqual([]);
}, 60_000);
