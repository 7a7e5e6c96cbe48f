/** @file theseus restore: going back to a checkpoint. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SMALL_CONFIG, Workplace } from "./command_line.ts";

setDefaultTimeout(60_000);
const place = new Workplace();
const runDirectory = (name: string): string =>
  join(place.path, "theseus-out/runs/general/default", name);
const first = runDirectory("first");
const checkpoints = join(first, "checkpoints");
afterAll(() => place.remove());

const steps = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => name.startsWith("step-"))
    .sort();

const hashes = (folder: string): unknown =>
  JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")).files;

beforeAll(async () => {
  place.file("small.yaml", SMALL_CONFIG);
  const keep = "checkpoint.keep=5";
  expect(await place.run(["run", "first", "small.yaml", keep])).toMatchObject({ code: 0 });
});

test("restore RUN@step ends as the run had ended, with the newer checkpoints out of the way", async () => {
  const before = hashes(join(checkpoints, "step-000012"));
  const { code, stderr } = await place.run(["restore", "first@step-4"]);
  expect(code).toBe(0);
  expect(stderr).toContain("moved step-000008, step-000012 to theseus-out/");
  expect(stderr).toContain("goes on from step 4");
  expect(steps(join(first, "superseded"))).toEqual(["step-000008", "step-000012"]);
  expect(steps(checkpoints)).toEqual(["step-000004", "step-000008", "step-000012"]);
  expect(hashes(join(checkpoints, "step-000012"))).toEqual(before);
  const lines = readFileSync(join(first, "metrics.jsonl"), "utf8").trimEnd().split("\n");
  const attempts = lines.map((line) => JSON.parse(line).attempt);
  expect(attempts).toEqual([1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2]);
  expect(existsSync(join(first, "superseded/metrics.jsonl"))).toBe(true);
});

test("a second time nothing that was moved before is lost", async () => {
  expect(await place.run(["restore", "first@8"])).toMatchObject({ code: 0 });
  expect(steps(join(first, "superseded"))).toEqual(["step-000008", "step-000012", "step-000012.2"]);
});

test("restore takes no overrides, and a damaged checkpoint moves nothing", async () => {
  const { code, stderr } = await place.run(["restore", "first@8", "training.steps=3"]);
  expect({ code, stderr }).toMatchObject({ code: 2 });
  const path = join(checkpoints, "step-000004/model.safetensors");
  const bytes = readFileSync(path);
  writeFileSync(path, bytes.subarray(0, -1));
  const damaged = await place.run(["restore", "first@4"]);
  expect(damaged.code).toBe(6);
  expect(damaged.stderr).toContain("step-000004/model.safetensors  expected");
  expect(steps(checkpoints)).toEqual(["step-000004", "step-000008", "step-000012"]);
  expect(await place.run(["restore", "first@5"])).toMatchObject({ code: 3 });
});
