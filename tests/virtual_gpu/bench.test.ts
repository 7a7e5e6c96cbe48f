/** @file The benches of a GPU run, say that a virtual one is none, and keep no figure of it. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RESULTS } from "../../bench/results.ts";
import { gpuPeakFlops } from "../../src/train/peak.ts";
import { DRIVER, useVirtualGpu } from "./virtual_gpu.ts";

setDefaultTimeout(60_000);
const repository = join(import.meta.dir, "../..");
const folder = mkdtempSync(join(tmpdir(), "theseus-bench-"));
useVirtualGpu();
afterAll(() => rmSync(folder, { recursive: true }));

async function bench(...args: readonly string[]) {
  const child = Bun.spawn([process.execPath, ...args], {
    cwd: repository,
    env: { ...process.env, THESEUS_CUDA_DRIVER: DRIVER },
    ...{ stdout: "pipe", stderr: "pipe" },
  });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  expect(await child.exited, stderr).toBe(0);
  return { figures: JSON.parse(stdout.trim().split("\n").at(-1) ?? ""), stderr };
}

const kept = () => (existsSync(RESULTS) ? readFileSync(RESULTS, "utf8") : "");

test("a step, with its figures and its profile", async () => {
  const before = kept();
  const step = ["bench/step.ts", "--device", "cuda", "--size", "tiny-gpu", "--dtype", "bf16"];
  const { figures, stderr } = await bench(...step, "--steps", "2", "--profile", "--json");
  expect(figures).toMatchObject({ device: "virtual GPU", virtual: true, batch: 2, seq: 32 });
  expect(figures.parameters).toBe(108_288);
  expect(figures.tokens_per_s).toBeGreaterThan(0);
  expect(figures["mfu_causal_6N+6LCT"]).toBeNull();
  expect(stderr).toMatch(/ms a step inside instructions, at the least \d/);
  expect(stderr).toMatch(/least +\d+\.\d+ ms {2}x\d+ {2}micro matmul/);
  expect(stderr).toContain("virtual GPU: these figures say nothing about speed and are not kept");
  expect(kept()).toBe(before);
}, 60_000);

test("the least time of a step, without a GPU", async () => {
  const { figures, stderr } = await bench("bench/roofline.ts", "--size", "tiny-gpu", "--json");
  expect(figures).toMatchObject({ bench: "roofline", size: "tiny-gpu", gpu: "H100" });
  const kernels: { ms: number }[] = Object.values(figures.kernels);
  const sum = kernels.reduce((ms, kernel) => ms + kernel.ms, 0);
  expect(figures.ms_per_step).toBeCloseTo(sum, 1);
  expect(stderr).toMatch(/by kernel and module/);
});

test("every kernel, beside a copy and a square product", async () => {
  const before = kept();
  const how = ["--device", "cuda:0", "--shapes", "tiny", "--runs", "1", "--json"];
  const { figures, stderr } = await bench("bench/kernels_cuda.ts", ...how);
  expect(figures).toMatchObject({ bench: "kernels", virtual: true, shapes: "tiny" });
  expect(figures["copy_GB/s"]).toBeGreaterThan(0);
  const { kernels } = figures;
  for (const name of ["layer_norm", "layer_norm_grad + residual", "bias gradient", "transpose"])
    expect(kernels[name]["GB/s"], name).toBeGreaterThan(0);
  for (const name of ["qkv", "attention", "attention_grad"])
    expect(kernels[name]["TFLOP/s"], name).toBeGreaterThan(0);
  expect(stderr).toContain("VIRTUAL");
  expect(stderr).toContain("are not kept");
  expect(kept()).toBe(before);
}, 60_000);

test("a step beside a peer in the same call", async () => {
  const peer = join(folder, "python");
  const said = '{"peer": "stub", "tokens_per_s": 1, "ms_per_step": 64000, "first_step_s": 1,';
  const more = ' "gflops_per_s": 1, "peak_rss_mib": 100, "peak_gpu_mib": 10}';
  writeFileSync(peer, `#!/bin/sh\necho "$@" >${folder}/asked\necho '${said}${more}'\n`);
  chmodSync(peer, 0o755);
  const how = ["--device", "cuda", "--sizes", "tiny-qwen-gpu", "--rounds", "1", "--steps", "2"];
  const { figures } = await bench("bench/compare.ts", ...how, "--python", peer, "--json");
  expect(figures).toMatchObject({ size: "tiny-qwen-gpu", dtype: "bf16", peer: "stub" });
  expect(figures).toMatchObject({ compiled: true, virtual: true, rounds: 1 });
  expect(figures.ratio).toBeCloseTo(figures.tokens_per_s[0], 1);
  const asked = readFileSync(join(folder, "asked"), "utf8");
  expect(asked).toContain("--size tiny-qwen-gpu --dtype bf16 --batch 2 --device cuda --compile");
}, 60_000);

test("peaks that MFU is measured against", () => {
  expect(gpuPeakFlops("NVIDIA H100 80GB HBM3", true)).toBe(989.4e12);
  expect(gpuPeakFlops("NVIDIA H200", true)).toBe(989.4e12);
  expect(gpuPeakFlops("NVIDIA H100 PCIe", true)).toBe(756e12);
  expect(gpuPeakFlops("NVIDIA A100-SXM4-80GB", false)).toBe(19.5e12);
  expect(gpuPeakFlops("virtual GPU", true)).toBeNull();
});
