/** @file What goes to and from a GPU: nothing is torn or late, the host does not wait where it need not, and time is measured there. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gptPretrain } from "../../src/jobs/gpt_pretrain.ts";
import { Builder } from "../../src/ops/builder.ts";
import { add } from "../../src/ops/prim/add.ts";
import { input } from "../../src/ops/prim/input.ts";
import { compile } from "../../src/passes/index.ts";
import { openGpu } from "../../src/runtime/index.ts";
import { Engine } from "../../src/train/engine.ts";
import { compileTraining } from "../../src/train/job_programs.ts";
import { targetOf } from "../../src/train/target.ts";
import { tinyConfig } from "../nn/models_for_tests.ts";
import { StandIn } from "./stand_in.ts";
import { DRIVER } from "./virtual_gpu.ts";

setDefaultTimeout(60_000);
const standIn = new StandIn();
const device = openGpu(0, { driver: DRIVER });
const folder = mkdtempSync(join(tmpdir(), "theseus-gpu-"));
afterAll(() => {
  device.close();
  rmSync(folder, { recursive: true });
});

/** Bytes that repeat at no power of two. */
const pattern = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) * 17 + seed) % 251);

test("writes larger than all pinned memory come back, from host and from files", () => {
  const bytes = pattern(21_000_003, 1);
  const buffer = device.alloc(bytes.length);
  const back = new Uint8Array(bytes.length);
  buffer.write(bytes);
  buffer.write(pattern(1000, 2), 5_000_001);
  buffer.read(back);
  expect(Buffer.compare(back.subarray(0, 5_000_001), bytes.subarray(0, 5_000_001))).toBe(0);
  expect(Buffer.compare(back.subarray(5_000_001, 5_001_001), pattern(1000, 2))).toBe(0);
  expect(Buffer.compare(back.subarray(5_001_001), bytes.subarray(5_001_001))).toBe(0);
  const path = join(folder, "bytes");
  writeFileSync(path, bytes);
  buffer.loadFrom(path);
  buffer.saveTo(join(folder, "again"));
  expect(Buffer.compare(readFileSync(join(folder, "again")), bytes)).toBe(0);
  buffer.free();
});

const WIDTH = 70_000;

function sums(): Engine {
  const b = new Builder("eval");
  const given = (name: string) => input(b, { name, kind: "input", shape: [WIDTH], dtype: "f32" });
  b.output("sum", add(b, given("x"), given("y")));
  return new Engine(device, new Map([["eval", compile(b.finish(), targetOf(device))]]));
}

test("each run finds what was written before it, whatever is written after it", async () => {
  const engine = sums();
  const values = (run: number) =>
    Float32Array.from({ length: WIDTH }, (_, i) => i * 3 + run * 1000);
  const start = (run: number) => engine.start("eval", { x: values(run), y: values(run + 7) });
  let before = await start(0);
  for (let run = 1; run < 30; run++) {
    const next = await start(run);
    const sum = (await before.output("sum")) as Float32Array;
    const wrong = sum.findIndex((x, i) => x !== 6 * i + (2 * (run - 1) + 7) * 1000);
    expect(wrong, `run ${run - 1}`).toBe(-1);
    before = next;
  }
  await before.done();
  engine.free();
});

const config = tinyConfig("training.precision=f32", "training.per_device_batch_size=2");
const model = gptPretrain.model(config);
const tokens = new Int32Array(model.blockSize * 2);

async function startStep(engine: Engine, step: number) {
  const sample = Uint32Array.of(2 * step, 2 * step + 1);
  await engine.start("micro", { tokens, targets: tokens, step, sample });
  const rates = { learning_rate: 1e-3, step: step + 1, norm_limit: 1e30 };
  return engine.start("update", rates);
}

test("the host prepares and starts two steps without waiting", async () => {
  const engine = new Engine(device, compileTraining(model, config, targetOf(device)));
  await (await engine.start("init")).done();
  const { waits } = standIn.asked();
  await startStep(engine, 0);
  const second = await startStep(engine, 1);
  expect(standIn.asked().waits).toBe(waits);
  expect(Number(await second.output("loss"))).toBeGreaterThan(0);
  engine.free();
});

test("time of each instruction, of all runs, and none without profiling", async () => {
  const engine = new Engine(device, compileTraining(model, config, targetOf(device)));
  await (await engine.start("init")).done();
  const { events } = standIn.held();
  engine.setProfiling(true);
  const total = () => engine.profile("micro").nanoseconds.reduce((a, b) => a + b, 0);
  const loss = Number(await (await startStep(engine, 0)).output("loss"));
  const one = total();
  const { program, nanoseconds } = engine.profile("micro");
  program.instructions.forEach(({ opcode }, i) => {
    expect(nanoseconds[i], opcode).toBeGreaterThan(0);
  });
  await startStep(engine, 1);
  await (await startStep(engine, 2)).done();
  expect(total()).toBeGreaterThan(one);
  engine.setProfiling(false);
  expect(total()).toBe(0);
  expect(standIn.held().events).toBe(events);
  await (await startStep(engine, 3)).done();
  expect(total()).toBe(0);
  expect(loss).toBeGreaterThan(0);
  engine.free();
});
