/**
 * @file The choice of cuBLASLt's algorithms: by time, kept in the cache and in a run, so that a run that goes on has the bits of
 * one that was never stopped, although by then other algorithms would be the fastest.
 */
import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, spyOn, test } from "bun:test";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gptPretrain } from "../../src/jobs/gpt_pretrain.ts";
import { type Device, openGpu, readAlgorithms } from "../../src/runtime/index.ts";
import { Engine } from "../../src/train/engine.ts";
import { compileTraining } from "../../src/train/job_programs.ts";
import { log } from "../../src/util/log.ts";
import { tinyConfig } from "../nn/models_for_tests.ts";
import { TestRoot } from "../train/runs_for_tests.ts";
import { StandIn } from "./stand_in.ts";
import { DRIVER } from "./virtual_gpu.ts";

setDefaultTimeout(60_000);
const standIn = new StandIn();
const root = new TestRoot();
const cache = join(root.path, "cache");
const names = [
  ...(["THESEUS_CUDA_DRIVER", "THESEUS_CACHE", "THESEUS_CUDA_TUNE"] as const),
  "THESEUS_CUDA_WGMMA" as const,
];
const before = names.map((name) => process.env[name]);

beforeAll(() => {
  process.env.THESEUS_CUDA_DRIVER = DRIVER;
});
afterEach(() => {
  standIn.set("TIMES", 0);
  standIn.set("CUBLASLT", 130_002);
  delete process.env.THESEUS_CACHE;
  delete process.env.THESEUS_CUDA_TUNE;
  delete process.env.THESEUS_CUDA_WGMMA;
  rmSync(cache, { recursive: true, force: true });
});
afterAll(() => {
  names.forEach((name, i) => {
    const value = before[i];
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  });
  root.remove();
});

const config = tinyConfig("architecture.n_layer=1", "training.per_device_batch_size=1");
const programs = compileTraining(gptPretrain.model(config), config, {
  ...{ kind: "cuda", level: "sm_90", threads: 1 },
});

/** Loads a training's programs; what was searched and what was chosen. */
function load(prepare: (device: Device) => void = () => {}) {
  const device = openGpu(0);
  try {
    prepare(device);
    new Engine(device, programs).free();
    const lines = device.choices.split("\n").filter((line) => line !== "");
    // Without the measured time, which is rounded.
    const chosen = lines.map((line) => line.replace(/^(\S+ \S+) \S+/, "$1"));
    return { searches: device.info.gpu?.searches ?? 0, chosen: chosen.sort() };
  } finally {
    device.close();
  }
}

const algorithmsOf = (lines: readonly string[]) => lines.map((line) => line.split(" ")[0]);

test("each product is searched once, and other times choose other algorithms", () => {
  const first = load();
  expect(first.searches).toBe(first.chosen.length);
  expect(first.searches).toBeGreaterThan(10);
  expect(load()).toEqual(first);
  standIn.set("TIMES", 5);
  expect(algorithmsOf(load().chosen)).not.toEqual(algorithmsOf(first.chosen));
});

test("the cache spares the search, whatever is fast by now", () => {
  process.env.THESEUS_CACHE = cache;
  const first = load();
  const [file = ""] = readdirSync(cache).filter((name) => name.startsWith("cublaslt-"));
  expect(file).toBe("cublaslt-virtual-GPU-sm_90-13000-130002.json");
  standIn.set("TIMES", 5);
  expect(load()).toEqual({ ...first, searches: 0 });
  // Another version has other algorithms, and a file of its own.
  standIn.set("CUBLASLT", 130_100);
  expect(load().searches).toBe(first.searches);
  expect(readdirSync(cache)).toHaveLength(2);
});

test("a damaged cache is searched anew and replaced", () => {
  process.env.THESEUS_CACHE = cache;
  const { searches } = load();
  const [file = ""] = readdirSync(cache);
  const path = join(cache, file);
  const text = readFileSync(path, "utf8");
  const record = readAlgorithms(path);
  const changed = {
    ...record,
    algorithms: record?.algorithms.map((each) => ({ ...each, algorithm: "00".repeat(64) })),
  };
  for (const damaged of ["", "{", text.slice(0, 700), "[]", JSON.stringify(changed)]) {
    writeFileSync(path, damaged);
    expect(load().searches).toBe(searches);
    expect(readAlgorithms(path)?.algorithms).toHaveLength(searches);
  }
});

test("without measuring the first proposals are taken, and stay out of the cache", () => {
  process.env.THESEUS_CACHE = cache;
  process.env.THESEUS_CUDA_TUNE = "0";
  const { chosen } = load();
  expect(new Set(algorithmsOf(chosen)).size).toBeLessThanOrEqual(2);
  expect(() => readdirSync(cache)).toThrow();
});

const GPU = [
  ...["training.device=cuda", "training.steps=8", "training.per_device_batch_size=2"],
  ...["training.precision=f32", "checkpoint.interval=4", "architecture.n_layer=1"],
];
const HALF = [...GPU, `training.stop_tokens=${4 * 2 * 32}`];

test("a run that goes on keeps its algorithms and its bits", async () => {
  const whole = await root.train("whole", GPU);
  await root.train("stopped", HALF);
  standIn.set("TIMES", 5);
  const resumed = await root.train("stopped", GPU);
  expect(resumed.metrics).toHaveLength(8);
  expect(Buffer.compare(resumed.weights, whole.weights)).toBe(0);
  const other = await root.train("other", GPU);
  expect(Buffer.compare(other.weights, whole.weights)).not.toBe(0);
});

test("a run that goes on with other sizes keeps what it knows of the old ones", async () => {
  const record = (directory: string) => {
    const found = readAlgorithms(join(directory, "algorithms.json"))?.algorithms ?? [];
    return new Set(found.map(({ product }) => product));
  };
  const before = record((await root.train("sizes", HALF)).result.directory);
  const rows = ["training.per_device_batch_size=1", "training.accumulate=2"];
  const after = record((await root.train("sizes", [...GPU, ...rows])).result.directory);
  expect(before.size).toBeGreaterThan(10);
  expect(after.size).toBeGreaterThan(before.size);
  expect([...before].filter((product) => !after.has(product))).toEqual([]);
});

test("with another cuBLASLt a run says that bits may differ", async () => {
  await root.train("moved", HALF);
  standIn.set("CUBLASLT", 130_100);
  const warn = spyOn(log, "warn").mockImplementation(() => {});
  try {
    await root.train("moved", GPU);
    expect(warn.mock.calls).toEqual([
      [
        "this run's products were computed on virtual GPU with CUDA 13.0 and cuBLASLt 13.0.2, " +
          "from now on it is virtual GPU with CUDA 13.0 and cuBLASLt 13.1.0: bits may differ",
      ],
    ]);
    warn.mockClear();
    // Now it is used to it.
    await root.train("moved", [...GPU, "training.stop_minutes=100"]);
    expect(warn).not.toHaveBeenCalled();
  } finally {
    warn.mockRestore();
  }
});

// Longer than the keys that the kernels of every GPU weigh at once, so that sums have another order.
const HEADS = [
  ...["architecture.n_embd=128", "architecture.n_head=1", "architecture.block_size=64"],
  "training.precision=bf16",
  ...["training.device=cuda", "training.steps=2", "training.per_device_batch_size=1"],
  ...["checkpoint.interval=1", "architecture.n_layer=1"],
];
const HALF_HEADS = [...HEADS, `training.stop_tokens=${64}`];

test("a run keeps the kernels of attention that it began with", async () => {
  const warn = spyOn(log, "warn").mockImplementation(() => {});
  try {
    const plain = await root.train("plain", HEADS);
    await root.train("plain-half", HALF_HEADS);
    process.env.THESEUS_CUDA_WGMMA = "1";
    const wide = await root.train("wide", HEADS);
    expect(Buffer.compare(wide.weights, plain.weights)).not.toBe(0);
    const { directory } = (await root.train("wide-half", HALF_HEADS)).result;
    expect(readAlgorithms(join(directory, "algorithms.json"))?.attention).toBe("wgmma");
    expect(warn).not.toHaveBeenCalled();
    const resumed = await root.train("plain-half", HEADS);
    expect(Buffer.compare(resumed.weights, plain.weights)).toBe(0);
    expect(warn.mock.calls.flat()).toEqual([expect.stringMatching(/began without wgmma/)]);
    delete process.env.THESEUS_CUDA_WGMMA;
    const wideResumed = await root.train("wide-half", HEADS);
    expect(Buffer.compare(wideResumed.weights, wide.weights)).toBe(0);
    expect(warn).toHaveBeenCalledTimes(1);
  } finally {
    warn.mockRestore();
  }
});

test("the cache says nothing of attention", () => {
  process.env.THESEUS_CACHE = cache;
  process.env.THESEUS_CUDA_WGMMA = "1";
  load();
  delete process.env.THESEUS_CUDA_WGMMA;
  const [file = ""] = readdirSync(cache);
  expect(readFileSync(join(cache, file), "utf8")).not.toContain("attention");
  load((device) => expect(device.info.gpu?.attention).toBe("mma"));
});
