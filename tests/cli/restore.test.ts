/** @file theseus restore and theseus clean: going back to a checkpoint, and tidying up after it. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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

test("clean deletes leavings and what was superseded, never what a live run uses", async () => {
  const grave = join(checkpoints, `step-000016.tmp-${crypto.randomUUID()}`);
  cpSync(join(checkpoints, "step-000012"), grave, { recursive: true });
  writeFileSync(join(first, "model.safetensors.tmp"), "half");
  const dead = { host: (await import("node:os")).hostname(), pid: 1, started: "-1", nonce: "n" };
  writeFileSync(join(first, "lock"), JSON.stringify(dead));
  cpSync(first, runDirectory("live"), { recursive: true });
  // This process is alive: whoever holds the lock of the copy is at work.
  const stat = readFileSync(`/proc/${process.pid}/stat`, "utf8");
  const started = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  writeFileSync(
    join(runDirectory("live"), "lock"),
    JSON.stringify({ ...dead, pid: process.pid, started }),
  );
  const all = (name: string) => readdirSync(runDirectory(name), { recursive: true }).sort();
  const [before, live] = [all("first"), all("live")];

  const dry = await place.run(["clean", "--dry-run"]);
  expect(dry.stdout).toContain("model.safetensors.tmp (temporary, 4 B)");
  expect(dry.stdout).toMatch(/would delete .* in all/);
  expect(dry.stderr).toContain("general/default/live is running: left alone");
  expect(all("first")).toEqual(before);

  expect(await place.run(["clean"])).toMatchObject({ code: 0 });
  expect(all("live")).toEqual(live);
  expect(existsSync(grave)).toBe(false);
  expect(existsSync(join(first, "superseded"))).toBe(false);
  expect(existsSync(join(first, "lock"))).toBe(false);
  expect(existsSync(join(first, "model.safetensors.tmp"))).toBe(false);
  expect(steps(checkpoints)).toEqual(["step-000004", "step-000008", "step-000012"]);
  expect((await place.run(["clean"])).stdout).toBe("nothing to delete\n");
  rmSync(runDirectory("live"), { recursive: true });
});
