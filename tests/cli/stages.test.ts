/** @file theseus run with the weights of another run, and in several stages. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { readMetrics } from "../../src/train/metrics_reader.ts";
import { SMALL_CONFIG, Workplace } from "./command_line.ts";

setDefaultTimeout(60_000);
const place = new Workplace();
const runDirectory = (name: string): string =>
  join(place.path, "theseus-out/runs/general/default", name);
const metricsOf = (name: string) => readMetrics(join(runDirectory(name), "metrics.jsonl"));
const weightsOf = (name: string) => readFileSync(join(runDirectory(name), "model.safetensors"));
afterAll(() => place.remove());

beforeAll(async () => {
  place.file("small.yaml", SMALL_CONFIG);
  // No warm-up and no rate to speak of: its first loss is that of the weights it began with.
  place.file("tune.yaml", `extends: small.yaml\ntraining: { steps: 3, learning_rate: 1.0e-9 }\n`);
  place.file("wide.yaml", "extends: small.yaml\narchitecture: { n_embd: 64 }\n");
  const fast = ["training.learning_rate=0.01", "training.steps=40"];
  expect(await place.run(["run", "first", "small.yaml", ...fast])).toMatchObject({ code: 0 });
});

test("--init-from begins at step 0 with the other run's weights", async () => {
  expect(await place.run(["run", "bare", "tune.yaml"])).toMatchObject({ code: 0 });
  const tuned = await place.run(["run", "tuned", "tune.yaml", "--init-from", "first"]);
  expect(tuned).toMatchObject({ code: 0 });
  const [bare, begun] = [metricsOf("bare")[0], metricsOf("tuned")[0]];
  expect(begun?.step).toBe(1);
  expect(begun?.loss ?? 9).toBeLessThan((bare?.loss ?? 0) - 0.5);
  const events = readFileSync(join(runDirectory("tuned"), "events.jsonl"), "utf8");
  expect(events).toContain('"event":"initialized"');
});

test("an exported folder and a file do as well; a run that goes on keeps its own weights", async () => {
  await place.run(["checkpoint", "export", "first", "weights"]);
  const from = async (name: string, model: string) => {
    const args = ["run", name, "tune.yaml", "--init-from", model];
    expect(await place.run(args)).toMatchObject({ code: 0 });
    return weightsOf(name);
  };
  const tuned = weightsOf("tuned");
  expect((await from("by-folder", "weights")).equals(tuned)).toBe(true);
  expect((await from("by-file", "weights/model.safetensors")).equals(tuned)).toBe(true);
  expect((await from("tuned", "bare")).equals(tuned)).toBe(true);
  const text = ["We", "--tokens", "20", "--temperature", "0"];
  const folder = await place.run(["sample", "weights", ...text]);
  expect(folder).toEqual(await place.run(["sample", "first", ...text]));
});

test("weights of another shape are refused before anything is made", async () => {
  const args = ["run", "wide", "wide.yaml", "--init-from", "first"];
  expect(await place.run(args)).toMatchObject({ code: 6 });
  expect(existsSync(runDirectory("wide"))).toBe(false);
  expect(await place.run(["run", "x", "tune.yaml", "--init-from", "nobody"])).toMatchObject({
    code: 3,
  });
  expect(await place.run(["run", "x", "tune.yaml", "--init-from", "a.safetensors"])).toMatchObject({
    code: 3,
  });
});

test("stages train one after the other, and the same command again goes on", async () => {
  const args = ["run", "both", "small.yaml", "-s", "tune.yaml", "--stage", "tune.yaml"];
  const { code, stderr } = await place.run(args);
  expect(code).toBe(0);
  expect(stderr).toContain("stage 3 of 3: tune.yaml");
  expect(metricsOf("both")).toHaveLength(12);
  expect(metricsOf("both-stage-3").map(({ step }) => step)).toEqual([1, 2, 3]);
  const last = metricsOf("both").at(-1)?.loss ?? 0;
  expect(Math.abs((metricsOf("both-stage-2")[0]?.loss ?? 9) - last)).toBeLessThan(0.3);
  const before = weightsOf("both-stage-3");
  const again = await place.run(args);
  expect(again).toMatchObject({ code: 0 });
  expect(again.stderr).toContain("goes on from step 3");
  expect(weightsOf("both-stage-3").equals(before)).toBe(true);
});

test("a stage whose beginning was trained anew is moved aside and trains anew", async () => {
  const args = ["run", "redone", "small.yaml", "-s", "tune.yaml"];
  expect(await place.run(args)).toMatchObject({ code: 0 });
  const [first, second] = [weightsOf("redone"), weightsOf("redone-stage-2")];
  const more = ["1:training.steps=16", "--allow-change"];
  const again = await place.run([...args, ...more]);
  expect(again.code).toBe(0);
  expect(again.stderr).toContain("did not begin with the weights of stage 1: it is moved aside");
  expect(weightsOf("redone").equals(first)).toBe(false);
  expect(weightsOf("redone-stage-2").equals(second)).toBe(false);
  expect(weightsOf("redone-stage-2.old-1").equals(second)).toBe(true);
  const third = await place.run([...args, ...more]);
  expect(third.stderr).not.toContain("moved aside");
  expect(existsSync(runDirectory("redone-stage-2.old-2"))).toBe(false);
});

test("an override is for every stage, or for the one that it names", async () => {
  const args = ["run", "picked", "small.yaml", "-s", "tune.yaml"];
  const overrides = ["training.seed=9", "1:training.steps=2", "2:training.steps=5"];
  expect(await place.run([...args, ...overrides])).toMatchObject({ code: 0 });
  expect(metricsOf("picked")).toHaveLength(2);
  expect(metricsOf("picked-stage-2")).toHaveLength(5);
  for (const name of ["picked", "picked-stage-2"])
    expect(readFileSync(join(runDirectory(name), "config.resolved.yaml"), "utf8")).toMatch(
      /^ {2}seed: 9\b/m,
    );
  expect(await place.said(["run", "never", "small.yaml", "3:training.steps=2"])).toMatchSnapshot();
  expect(await place.said(["plan", "small.yaml", "1:training.steps=2"])).toMatchSnapshot();
});

test("a run that goes on needs its beginning no more; a new one does", async () => {
  const begin = ["--init-from", "weights-gone/model.safetensors"];
  const gone = place.file("weights-gone/model.safetensors", weightsOf("first"));
  expect(await place.run(["run", "kept", "tune.yaml", ...begin])).toMatchObject({ code: 0 });
  rmSync(gone);
  const again = await place.run(["run", "kept", "tune.yaml", ...begin]);
  expect(again).toMatchObject({ code: 0 });
  expect(again.stderr).toContain("goes on with its own weights");
  expect(await place.run(["run", "kept", "tune.yaml", ...begin, "--fresh"])).toMatchObject({
    code: 3,
  });
});

test("a stage that does not fit is refused before the first one trains", async () => {
  expect(await place.said(["run", "never", "small.yaml", "-s", "wide.yaml"])).toMatchSnapshot();
  expect(existsSync(runDirectory("never"))).toBe(false);
  const missing = await place.run(["run", "never", "small.yaml", "-s", "nothing.yaml"]);
  expect(missing.code).toBe(3);
});
