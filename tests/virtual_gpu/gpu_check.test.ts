/** @file scripts/gpu-check works: on the virtual GPU with small counts, in parts, and it does again only what did not pass. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { useVirtualGpu } from "./virtual_gpu.ts";

setDefaultTimeout(60_000);
const repository = join(import.meta.dir, "../..");
const folder = mkdtempSync(join(tmpdir(), "theseus-gpu-check-"));
useVirtualGpu();
afterAll(() => rmSync(folder, { recursive: true }));

async function check(...args: readonly string[]) {
  const child = Bun.spawn(["scripts/gpu-check", "--virtual", folder, ...args], {
    cwd: repository,
    env: { ...process.env, PATH: `${dirname(process.execPath)}:${process.env.PATH}` },
    ...{ stdout: "pipe", stderr: "pipe" },
  });
  const stdout = await new Response(child.stdout).text();
  return { code: await child.exited, stdout };
}

test("the first steps, then the others, and a step that failed again", async () => {
  const first = await check("1-3");
  expect(first.stdout).toMatch(/^pass {2}01-driver .*\npass {2}02-build .*\npass {2}03-doctor /);
  expect(first.stdout).toContain("3 passed, 0 failed, 0 had passed before");
  const all = await check();
  expect(all.stdout).not.toContain("FAIL");
  expect(all.stdout).toMatch(/losses +\d+ s {2}\{"steps":3,"largest_difference":[\d.e-]+\}/);
  expect(all.stdout).toMatch(/\n\d+ passed, 0 failed, 3 had passed before, \d+ s in all/);
  expect(all.code).toBe(0);
  const lines = readFileSync(join(folder, "results.jsonl"), "utf8").trim().split("\n");
  const results = lines.map((line) => JSON.parse(line));
  expect(results.length).toBeGreaterThanOrEqual(15);
  for (const { step, result, virtual } of results)
    expect([step, result, virtual]).toEqual([step, "pass", true]);
  const bench = results.find(({ step }) => /step-bench/.test(step));
  expect(bench.figures.map(({ size }: { size: string }) => size)).toEqual([
    "tiny-gpu",
    "tiny-qwen-gpu",
  ]);
  // What is broken since is found, and said in one line.
  const weights = join(folder, "train/runs/general/default/again/model.safetensors");
  rmSync(weights);
  const kept = lines.filter((line) => !line.includes("11-same-bits"));
  writeFileSync(join(folder, "results.jsonl"), `${kept.join("\n")}\n`);
  const broken = await check("10-12");
  expect(broken.code).toBe(1);
  expect(broken.stdout).toMatch(/^FAIL {2}11-same-bits .*11-same-bits.txt: cmp: /);
  expect(broken.stdout).toContain("0 passed, 1 failed, 2 had passed before");
}, 180_000);

test("of a process whose GPU has failed every test is run again alone", () => {
  const args = ["tests/virtual_gpu/each_alone.ts", "--pattern=softmax", "ops.test.ts"];
  const { stdout, exitCode } = Bun.spawnSync([process.execPath, ...args], {
    cwd: repository,
    env: { ...process.env, THESEUS_VGPU_FAIL_LAUNCH: "17" },
  });
  const figures = /^\{.*\}$/m.exec(stdout.toString())?.[0] ?? "{}";
  expect(JSON.parse(figures)).toMatchObject({
    ...{ file: "ops.test.ts", ok: false, passed: 8, failed: 4 },
    alone: { softmax_grad: "pass" },
  });
  expect(exitCode).toBe(1);
});

test("shellcheck has nothing to say", () => {
  const shellcheck = Bun.which("shellcheck");
  if (shellcheck === null) return;
  const { exitCode, stdout } = Bun.spawnSync([shellcheck, "scripts/gpu-check"], {
    cwd: repository,
  });
  expect(stdout.toString()).toBe("");
  expect(exitCode).toBe(0);
});
