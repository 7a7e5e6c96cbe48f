/** @file Trackers beside metrics.jsonl: what TensorBoard shows of a resumed run, users' own, and ones that fail. */
import { afterAll, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { StepMetrics } from "../../src/train/metrics.ts";
import { type TrackedRun, tracker } from "../../src/train/trackers.ts";
import { TestRoot } from "./runs_for_tests.ts";

const root = new TestRoot();
afterAll(() => root.remove());

interface Seen {
  readonly step: number;
  readonly start: boolean;
}

/** Steps of the events of a file, by hand: time (9 bytes), then step (field 2), then the body's field. */
function eventsOf(path: string): Seen[] {
  const bytes = readFileSync(path);
  const seen: Seen[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    const data = bytes.subarray(at + 12, at + 12 + length);
    // Steps below 128 take one byte.
    if (data[9] === 0x10) seen.push({ step: data[10] ?? -1, start: data[11] === 0x3a });
    at += 16 + length;
  }
  return seen;
}

test("event files lie beside metrics.jsonl; a resumed run purges from its first step on", async () => {
  const { result } = await root.train("board", ["training.steps=3"]);
  const more = ["training.steps=5"];
  await root.train("board", more, { allowChange: true });
  const folder = join(result.directory, "tensorboard");
  const [first = "", second = "", ...rest] = readdirSync(folder).sort();
  expect(rest).toEqual([]);
  const step = (number: number): Seen => ({ step: number, start: false });
  expect(eventsOf(join(folder, first))).toEqual([1, 2, 3].map(step));
  expect(eventsOf(join(folder, second))).toEqual([{ step: 4, start: true }, step(4), step(5)]);
}, 30_000);

test("users' trackers get every step; one that fails is left out and the run goes on", async () => {
  const logged: number[] = [];
  const runs: TrackedRun[] = [];
  let finished = 0;
  const open = (log: (metrics: StepMetrics) => void) => (run: TrackedRun) => {
    runs.push(run);
    return { log, finish: () => void finished++ };
  };
  tracker({ name: "test-list", doc: "d", open: open(({ step }) => void logged.push(step)) });
  const fails = open(({ step }) => {
    if (step === 2) throw new Error("no network");
  });
  tracker({ name: "test-fails", doc: "d", open: fails });
  const settings = ["training.steps=4", "logging.trackers=[test-list, test-fails]"];
  const { result } = await root.train("own", settings);
  expect(logged).toEqual([1, 2, 3, 4]);
  expect(finished).toBe(1);
  expect(runs[0]).toMatchObject({ attempt: 1, firstStep: 1, directory: result.directory });
  expect(readdirSync(result.directory)).not.toContain("tensorboard");
  const events = readFileSync(join(result.directory, "events.jsonl"), "utf8");
  expect(events).toContain(
    '"event":"tracker_failed","tracker":"test-fails","message":"no network"',
  );
}, 30_000);

test("a tracker that nobody registered is refused before anything is made", async () => {
  await expect(root.start("none", ["logging.trackers=[tensorbord]"])).rejects.toThrow(
    'no tracker is named "tensorbord". Did you mean "tensorboard"?',
  );
  expect(readdirSync(join(root.path, "runs/general/default"))).not.toContain("none");
});
