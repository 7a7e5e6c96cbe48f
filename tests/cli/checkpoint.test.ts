/** @file theseus checkpoint: list, verify, save, export and prune, on a small run of its own. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SMALL_CONFIG, Workplace } from "./command_line.ts";

setDefaultTimeout(60_000);
const place = new Workplace();
const runDirectory = (name: string): string =>
  join(place.path, "theseus-out/runs/general/default", name);
const folder = join(runDirectory("first"), "checkpoints");
afterAll(() => place.remove());

async function json(...args: string[]): Promise<Record<string, unknown>> {
  const { stdout } = await place.run([...args, "--json"]);
  return JSON.parse(stdout) as Record<string, unknown>;
}

const names = (): string[] => readdirSync(folder).filter((name) => name.startsWith("step-"));

beforeAll(async () => {
  place.file("small.yaml", SMALL_CONFIG);
  const keep = "checkpoint.keep=5";
  expect(await place.run(["run", "first", "small.yaml", keep])).toMatchObject({ code: 0 });
});

test("list says what there is, and marks the latest", async () => {
  const { checkpoints } = await json("checkpoint", "list", "first");
  expect(checkpoints).toMatchObject([
    { name: "step-000004", step: 4, latest: false, problem: null },
    { name: "step-000008", step: 8, latest: false, problem: null },
    { name: "step-000012", step: 12, latest: true, problem: null },
  ]);
  const { stdout } = await place.run(["checkpoint", "list", "first"]);
  expect(stdout).toMatch(/step-000012 +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +\d+ KiB +latest/);
});

test("export writes a verified checkpoint's weights, and never over anything", async () => {
  expect(await place.run(["checkpoint", "export", "first@step-4", "out/w"])).toMatchObject({
    code: 0,
  });
  expect(readdirSync(join(place.path, "out/w")).sort()).toEqual([
    "config.yaml",
    "model.safetensors",
  ]);
  const weights = (path: string) => readFileSync(join(path, "model.safetensors"));
  expect(weights(join(place.path, "out/w")).equals(weights(join(folder, "step-000004")))).toBe(
    true,
  );
  expect(await place.run(["checkpoint", "export", "first", "out/w"])).toMatchObject({ code: 5 });
  expect(readdirSync(join(place.path, "out"))).toEqual(["w"]);
});

test("sample reads the checkpoint that is named", async () => {
  const text = async (model: string) =>
    (await place.run(["sample", model, "We", "--tokens", "24", "--temperature", "0"])).stdout;
  const latest = await text("first");
  expect(latest).toBe(await text("first@step-000012"));
  expect(latest).toBe(await text("first@latest"));
  expect(await text("first@4")).not.toBe(latest);
  const missing = await place.said(["sample", "first@step-000099", "We"]);
  expect(missing).toMatchSnapshot();
});

test("a flipped bit is found, the file is named, and the exit code is 6", async () => {
  expect(await place.run(["checkpoint", "verify", "first"])).toMatchObject({ code: 0 });
  const path = join(folder, "step-000012/optimizer.safetensors");
  const bytes = readFileSync(path);
  const at = bytes.length - 3;
  bytes.writeUInt8(bytes.readUInt8(at) ^ 8, at);
  writeFileSync(path, bytes);
  const { code, stderr, stdout } = await place.run(["checkpoint", "verify", "first"]);
  expect(code).toBe(6);
  expect(stderr).toContain("step-000012/optimizer.safetensors  damaged: expected hash");
  expect(stdout).toContain("step-000008  ok, 3 files");
  expect(await place.run(["checkpoint", "verify", "first@8"])).toMatchObject({ code: 0 });
  expect(await place.run(["checkpoint", "export", "first", "broken"])).toMatchObject({ code: 6 });
  expect(existsSync(join(place.path, "broken"))).toBe(false);
});

test("prune keeps the newest and the newest that verifies", async () => {
  const dry = await json("checkpoint", "prune", "first", "--dry-run");
  expect(dry.deleted).toMatchObject([{ name: "step-000004" }]);
  expect(names()).toHaveLength(3);
  expect(await place.run(["checkpoint", "prune", "first"])).toMatchObject({ code: 0 });
  expect(names()).toEqual(["step-000008", "step-000012"]);
  expect(await place.said(["checkpoint", "prune", "first", "--keep", "1"])).toMatchSnapshot();
});

test("a run without a name of its own is not pruned", async () => {
  const path = join(runDirectory("first"), "run.json");
  const before = readFileSync(path);
  writeFileSync(path, "{}");
  expect(await place.said(["checkpoint", "prune", "first"])).toMatchSnapshot();
  writeFileSync(path, before);
});

test("save makes a live run save now; a run that has ended is a conflict", async () => {
  expect(await place.run(["checkpoint", "save", "first"])).toMatchObject({ code: 5 });
  const long = ["training.steps=100000", "checkpoint.interval=0", "validation.interval=0"];
  const live = place.start(["run", "live", "small.yaml", ...long]);
  const latest = join(runDirectory("live"), "checkpoints/latest");
  try {
    while (!existsSync(join(runDirectory("live"), "heartbeat.json"))) await Bun.sleep(20);
    const first = (await json("checkpoint", "save", "live")).step;
    expect(readFileSync(latest, "utf8")).toBe(`step-${String(first).padStart(6, "0")}\n`);
    const second = (await json("checkpoint", "save", "live")).step;
    expect(Number(second)).toBeGreaterThan(Number(first));
    const ask = () => place.run(["checkpoint", "save", "live"]);
    for (const { code } of await Promise.all([ask(), ask()])) expect(code).toBe(0);
    expect(await place.run(["checkpoint", "verify", "live"])).toMatchObject({ code: 0 });
    expect(await place.run(["checkpoint", "prune", "live"])).toMatchObject({ code: 5 });
    expect(existsSync(join(runDirectory("live"), "checkpoint.request"))).toBe(false);
    live.kill("SIGSTOP");
    const save = ["checkpoint", "save", "live", "--wait"];
    expect(await place.said([...save, "0.1"])).toMatchSnapshot("too slow");
    const asked = place.said([...save, "30"]);
    while (!existsSync(join(runDirectory("live"), "checkpoint.request"))) await Bun.sleep(5);
    live.kill(9);
    expect(await asked).toMatchSnapshot("ended first");
  } finally {
    live.kill(9);
    await live.exited;
  }
});

test("the group alone, and a wrong name below it", async () => {
  expect(await place.said(["checkpoint"])).toMatchSnapshot("alone");
  expect(await place.said(["checkpoint", "lst", "first"])).toMatchSnapshot("wrong");
});
