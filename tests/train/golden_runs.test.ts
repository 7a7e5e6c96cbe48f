/**
 * @file Runs that earlier versions made (scripts/fixtures/golden_run.ts) go on with this one and end as they would have; runs of
 * versions to come are refused with what is not understood.
 */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readMetrics } from "../../src/train/metrics_reader.ts";
import { Workplace } from "../cli/command_line.ts";

setDefaultTimeout(60_000);
const GOLDEN = join(import.meta.dir, "../fixtures/runs");
const VERSIONS = readdirSync(GOLDEN);
const place = new Workplace();
afterAll(() => place.remove());
const directoryOf = (name: string) => join(place.path, "theseus-out/runs/general/default", name);

function copyOf(version: string, name: string): string {
  const directory = directoryOf(name);
  mkdirSync(directory, { recursive: true });
  cpSync(join(GOLDEN, version), directory, { recursive: true });
  return directory;
}

test.each(VERSIONS)("a run of version %s", async (version) => {
  const name = `golden-${version}`;
  const directory = copyOf(version, name);
  expect(await place.run(["checkpoint", "verify", name])).toMatchObject({ code: 0 });
  expect(await place.run(["show", name])).toMatchObject({ code: 0 });
  const restored = await place.run(["restore", name]);
  expect(restored).toMatchObject({ code: 0 });
  expect(restored.stderr).toContain("goes on from step 2");
  const expected = JSON.parse(readFileSync(join(directory, "expected.json"), "utf8")) as {
    step: number;
    loss: number;
  }[];
  const metrics = readMetrics(join(directory, "metrics.jsonl"));
  expect(metrics.map(({ step }) => step)).toEqual(expected.map(({ step }) => step));
  // Other processors add in another order.
  for (const [i, { loss }] of metrics.entries())
    expect(loss).toBeCloseTo(expected[i]?.loss ?? 0, 4);
  expect(existsSync(join(directory, "model.safetensors"))).toBe(true);
});

const [newest = ""] = VERSIONS.sort().reverse();

test("a configuration with settings of a version to come", async () => {
  const path = join(copyOf(newest, "future"), "config.resolved.yaml");
  writeFileSync(path, `${readFileSync(path, "utf8")}\nteleport:\n  speed: 3\n`);
  const { code, stderr } = await place.run(["restore", "future"]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/config\.resolved\.yaml:\d+:1 {2}teleport {2}unknown key/);
});

test("a checkpoint of a format to come, and one of another architecture", async () => {
  const manifest = join(copyOf(newest, "format"), "checkpoints/step-000002/manifest.json");
  const text = readFileSync(manifest, "utf8");
  writeFileSync(manifest, text.replace(/"format_version": \d+/, '"format_version": 99'));
  const format = await place.run(["restore", "format"]);
  expect(format.code).toBe(6);
  expect(format.stderr).toContain("format 99 is newer than this program reads");
  expect(format.stderr).toContain("none of the 1 checkpoints");

  const config = join(copyOf(newest, "shape"), "config.resolved.yaml");
  writeFileSync(config, readFileSync(config, "utf8").replace("n_embd: 8", "n_embd: 16"));
  const shape = await place.run(["restore", "shape"]);
  expect(shape.code).toBe(6);
  expect(shape.stderr).toMatch(
    /model\.safetensors {2}.*expected F32 \[.*16.*\], found F32 \[.*8.*\]/,
  );
});
