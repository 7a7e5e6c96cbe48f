/** @file A GPU that dies names the node and its module, whatever it was doing; one kernel at a time says which it was exactly. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gptPretrain } from "../../src/jobs/gpt_pretrain.ts";
import { at } from "../../src/ops/check.ts";
import { openGpu } from "../../src/runtime/index.ts";
import { Engine } from "../../src/train/engine.ts";
import { compileTraining } from "../../src/train/job_programs.ts";
import { tinyConfig } from "../nn/models_for_tests.ts";
import {
  binary,
  f32Bits,
  instruction,
  operand,
  program,
  ready,
  result,
} from "../runtime/hand_made.ts";
import { NOTHING, StandIn } from "./stand_in.ts";
import { DRIVER, untuned } from "./virtual_gpu.ts";

setDefaultTimeout(60_000);
const standIn = new StandIn();
afterEach(() => expect(standIn.held()).toEqual(NOTHING));

const config = tinyConfig("architecture.n_layer=1", "training.per_device_batch_size=1");
const model = gptPretrain.model(config);
const programs = compileTraining(model, config, { kind: "cuda", level: "sm_90", threads: 1 });
const tokens = new Int32Array(model.blockSize);

interface Way {
  /** One kernel at a time. */
  readonly stepwise?: boolean;
  readonly profiling?: boolean;
  /** THESEUS_CUDA_WITNESS. */
  readonly witness?: string;
}

function open(way: Way) {
  if (way.stepwise === true) process.env.THESEUS_CUDA_STEPWISE = "1";
  if (way.witness !== undefined) process.env.THESEUS_CUDA_WITNESS = way.witness;
  try {
    return untuned(() => openGpu(0, { driver: DRIVER }));
  } finally {
    for (const name of ["STEPWISE", "WITNESS"]) delete process.env[`THESEUS_CUDA_${name}`];
  }
}

/** Two steps, of which the second waits for nothing of the first. */
async function train(way: Way): Promise<void> {
  const device = open(way);
  try {
    const engine = new Engine(device, programs);
    engine.setProfiling(way.profiling === true);
    await engine.start("init");
    for (let step = 0; step < 2; step++) {
      const sample = Uint32Array.of(step);
      await engine.start("micro", { tokens, targets: tokens, step, sample });
      const rates = { learning_rate: 1e-3, step: step + 1, norm_limit: 1e30 };
      const run = await engine.start("update", rates);
      if (step === 1) await run.output("loss");
    }
  } finally {
    device.close();
  }
}

type What = "launches" | "products";

/** The message of the GPU's death in the k-th kernel or product of `work`. */
async function messageOf(what: What, k: number, work: () => Promise<unknown>): Promise<string> {
  const setting = what === "launches" ? "FAIL_LAUNCH" : "FAIL_PRODUCT";
  standIn.set(setting, standIn.asked()[what] + k);
  try {
    await work();
    return "nothing failed";
  } catch (error) {
    return (error as Error).message;
  } finally {
    standIn.set(setting, 0);
    standIn.heal();
  }
}

/** Program, and "node 5, kernel map, blocks.0.mlp". */
const EXACT = /^program (\w+) failed on GPU 0 at (node \d+, kernel \w+(?:, [\w.]+)?): CUDA_ERROR_I/;
const TOLD = /^program (\w+) failed on GPU 0 at or right after (node .*) \(exactly: .*\): \w+_I/;

async function both(what: What, k: number, way: Way = {}) {
  const exact = await messageOf(what, k, () => train({ stepwise: true }));
  const told = await messageOf(what, k, () => train(way));
  expect(exact).toMatch(EXACT);
  expect(told).toMatch(TOLD);
  const [, program, place = ""] = EXACT.exec(exact) ?? [];
  const [, toldProgram, toldPlace = ""] = TOLD.exec(told) ?? [];
  return { program, place, toldProgram, toldPlace, told };
}

async function countOf(what: What): Promise<number> {
  const before = standIn.asked()[what];
  await train({});
  return standIn.asked()[what] - before;
}

test("a kernel: node, kernel and module are those of one at a time", async () => {
  const count = await countOf("launches");
  const modules = new Set<string>();
  for (let k = 1; k <= count; k += 9) {
    const { program, place, toldProgram, toldPlace } = await both("launches", k);
    expect(toldProgram).toBe(program);
    expect(toldPlace.split(" (or at ")[0]).toBe(place);
    modules.add(`${program} ${place.split(", ")[2] ?? ""}`);
  }
  // Of the model, its gradient and the optimizer, not all the same one.
  expect(modules.size).toBeGreaterThan(5);
});

test("a product of cuBLASLt is named behind the kernel before it", async () => {
  const count = await countOf("products");
  let first = 0;
  for (let k = 1; k <= count; k += 5) {
    const { program, place, toldProgram, toldPlace, told } = await both("products", k);
    expect(toldProgram).toBe(program);
    expect(place).toContain("kernel matmul, ");
    expect(toldPlace.split(/ \(or at |; |\)/), told).toContain(place);
    first += toldPlace.startsWith(place) ? 1 : 0;
  }
  expect(first).toBe(0);
});

test("while times are taken", async () => {
  const count = await countOf("launches");
  for (const k of [3, 40, count - 1]) {
    const { place, toldPlace } = await both("launches", k, { profiling: true });
    expect(toldPlace.split(" (or at ")[0]).toBe(place);
  }
});

test("without a witness the program is named", async () => {
  const told = await messageOf("launches", 60, () => train({ witness: "0" }));
  expect(told).toMatch(/^program \w+ failed on GPU 0 \(exactly: .*\): CUDA_ERROR_ILLEGAL_ADDRESS/);
});

const matrix = (buffer: number) => operand(buffer, [1, 8, 8]);
const matmul = (to: number, node: number) => {
  const words = [0, 0, 0, f32Bits(1)];
  return instruction("matmul", [matrix(0), matrix(0), result(to, [1, 8, 8])], words, node);
};

/** Products at both ends, and one kernel where it is wanted. */
const products = (withKernel: boolean) =>
  program(
    [
      { kind: "state", name: "x", bytes: 256 },
      { kind: "state", name: "y", bytes: 256 },
      { kind: "state", name: "z", bytes: 256 },
    ],
    [
      matmul(1, 1),
      ...(withKernel
        ? [binary("add", operand(0, [64]), operand(0, [64]), result(2, [64]), 2)]
        : []),
      matmul(1, 3),
      matmul(2, 4),
    ],
  );

async function run(withKernel: boolean, runs: number): Promise<void> {
  const device = open({});
  try {
    const { loaded } = ready(device, products(withKernel));
    for (let i = 0; i < runs; i++) await device.wait(loaded.run(0));
  } finally {
    device.close();
  }
}

const place = (node: number) =>
  `node ${node}, kernel ${node === 2 ? "map, test.map" : "matmul, test.matmul"}`;

test("programs that begin or end with products", async () => {
  const head = "program hand_made failed on GPU 0 at or right after ";
  const told = (k: number, withKernel: boolean, runs: number) =>
    messageOf("products", k, () => run(withKernel, runs));
  // Nothing of ours has begun.
  expect(await told(1, true, 1)).toStartWith(`${head}${place(1)} (exactly`);
  const all = `${head}${place(1)} (or at ${place(3)}; ${place(4)}) (exactly`;
  for (const k of [1, 2, 3]) expect(await told(k, false, 1)).toStartWith(all);
  // A kernel has, before the products at the end or those of the next run.
  const late = `${head}${place(2)} (or at ${place(3)}; ${place(4)}; ${place(1)}) (exactly`;
  for (const k of [2, 3]) expect(await told(k, true, 1)).toStartWith(late);
  expect(await told(4, true, 2)).toStartWith(late);
});

test("what comes next tells it too, whatever it wanted of the GPU's memory", async () => {
  const folder = mkdtempSync(join(tmpdir(), "theseus-witness-"));
  const device = open({});
  try {
    const { loaded, buffers } = ready(device, products(true));
    const [x, y] = [at(buffers, 0), at(buffers, 1)];
    const path = join(folder, "x");
    x.saveTo(path);
    const died = await messageOf("launches", 1, async () => {
      await device.wait(loaded.run(0)).catch(() => null);
      const told = /^program hand_made failed on GPU 0 at or right after node 2,/;
      expect(() => x.saveTo(path)).toThrow(told);
      expect(() => x.loadFrom(path)).toThrow(told);
      expect(() => x.copyFrom(y, 0, 0, 64)).toThrow(told);
      expect(() => x.write(new Uint8Array(64))).toThrow(told);
      x.read(new Uint8Array(64));
    });
    expect(died).toStartWith("program hand_made failed on GPU 0 at or right after node 2,");
  } finally {
    device.close();
    rmSync(folder, { recursive: true });
  }
});
