/** @file Faults at every place in turn: each is one clear error, and nothing of the GPU is left taken after it. */
import { afterAll, afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Generator } from "../../src/generate/generator.ts";
import { gptPretrain } from "../../src/jobs/gpt_pretrain.ts";
import { NativeError, openGpu } from "../../src/runtime/index.ts";
import { Engine } from "../../src/train/engine.ts";
import { compileTraining } from "../../src/train/job_programs.ts";
import { decoderFor } from "../generate/models_for_tests.ts";
import { tinyConfig } from "../nn/models_for_tests.ts";
import { NOTHING, StandIn } from "./stand_in.ts";
import { DRIVER } from "./virtual_gpu.ts";

setDefaultTimeout(60_000);
const standIn = new StandIn();
const driver = DRIVER;
const folder = mkdtempSync(join(tmpdir(), "theseus-driver-"));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => expect(standIn.held()).toEqual(NOTHING));

const config = tinyConfig("architecture.n_layer=1", "training.per_device_batch_size=1");
const model = gptPretrain.model(config);
const programs = compileTraining(model, config, { kind: "cuda", level: "sm_90", threads: 1 });
const tokens = new Int32Array(model.blockSize);

async function trainStep(engine: Engine, step: number): Promise<number> {
  const sample = Uint32Array.of(step);
  await engine.start("micro", { tokens, targets: tokens, step, sample });
  const rates = { learning_rate: 1e-3, step: step + 1, norm_limit: 1e30 };
  return Number(await (await engine.start("update", rates)).output("loss"));
}

/** A device from its opening to its end, with two steps in between. */
async function train(): Promise<number> {
  const device = openGpu(0, { driver });
  try {
    const engine = new Engine(device, programs);
    await engine.start("init");
    await trainStep(engine, 0);
    return await trainStep(engine, 1);
  } finally {
    device.close();
  }
}

async function generate(): Promise<readonly number[]> {
  const device = openGpu(0, { driver });
  try {
    const decoder = decoderFor(device, model, { rows: 2, places: 8, precision: "f32" });
    const sampling = { temperature: 0, topK: 0, seed: 0 };
    const request = { prompt: [1, 2, 3], maxTokens: 5, sampling };
    return (await new Generator(decoder).generate(request)).tokens;
  } finally {
    device.close();
  }
}

const failureOf = (work: () => Promise<unknown>): Promise<unknown> =>
  work().then(
    () => null,
    (error: unknown) => error,
  );

/** Every k-th request is refused in turn, until nothing is left to refuse. Returns how many there were. */
async function refuseEach(
  setting: "FAIL_ALLOC" | "FAIL_HOST",
  asked: () => number,
  message: RegExp,
): Promise<number> {
  for (let k = 1; ; k++) {
    standIn.set(setting, asked() + k);
    const error = await failureOf(train);
    standIn.set(setting, 0);
    if (error === null) return k - 1;
    expect(error).toBeInstanceOf(NativeError);
    expect((error as NativeError).status).toBe("out_of_memory");
    expect((error as NativeError).message).toMatch(message);
    expect(standIn.held()).toEqual(NOTHING);
  }
}

test("device memory runs out at every allocation in turn", async () => {
  const message =
    /^\d+ bytes do not fit into GPU 0 \(virtual GPU\), which has \d+ of \d+ bytes free: /;
  // A search for algorithms does without the memory that it is refused.
  process.env.THESEUS_CUDA_TUNE = "0";
  try {
    const count = await refuseEach("FAIL_ALLOC", () => standIn.asked().allocations, message);
    expect(count).toBeGreaterThan(60);
  } finally {
    delete process.env.THESEUS_CUDA_TUNE;
  }
}, 60_000);

test("pinned memory runs out at every piece in turn", async () => {
  const count = await refuseEach("FAIL_HOST", () => standIn.asked().pinned, /^no pinned memory: /);
  expect(count).toBeGreaterThanOrEqual(2);
});

async function failLaunch(k: number, work: () => Promise<unknown>): Promise<unknown> {
  standIn.set("FAIL_LAUNCH", standIn.asked().launches + k);
  const error = await failureOf(work);
  standIn.set("FAIL_LAUNCH", 0);
  standIn.heal();
  return error;
}

const PROGRAM = /^program (init|micro|update|prefill_\d+x\d+|decode_\d+) failed on GPU 0 /;
const DIED = new RegExp(`${PROGRAM.source}.*THESEUS_CUDA_STEPWISE=1.*ILLEGAL_ADDRESS`);

test("a kernel that kills the GPU names its program, in training", async () => {
  const begin = standIn.asked().launches;
  await train();
  const launches = standIn.asked().launches - begin;
  const named = new Set<string>();
  for (let k = 1; k <= launches; k += 1 + Math.floor(launches / 24)) {
    const error = await failLaunch(k, train);
    expect(String((error as Error).message)).toMatch(DIED);
    named.add(DIED.exec((error as Error).message)?.[1] ?? "");
    expect(standIn.held()).toEqual(NOTHING);
  }
  expect([...named].sort()).toEqual(["init", "micro", "update"]);
}, 60_000);

test("and in generation, where every answer in the making fails with it", async () => {
  const wanted = await generate();
  for (const k of [1, 9, 25, 40, 60]) {
    const error = await failLaunch(k, generate);
    expect(String((error as Error).message)).toMatch(DIED);
    expect(standIn.held()).toEqual(NOTHING);
  }
  expect(await generate()).toEqual(wanted);
}, 60_000);

/** Names of the driver's functions that the library asks for, from the table in zig/cuda/driver.zig. */
function wantedSymbols(): string[] {
  const text = readFileSync(join(import.meta.dir, "../../zig/cuda/driver.zig"), "utf8");
  const table = text.slice(text.indexOf("pub const Functions"), text.indexOf("pub const Driver"));
  return [...table.matchAll(/^ {4}(cu\w+): \*const/gm)].map(([, name]) => name ?? "");
}

test("a driver that lacks any one function is too old", () => {
  const bytes = readFileSync(DRIVER);
  const names = wantedSymbols();
  expect(names.length).toBeGreaterThan(35);
  names.forEach((name, i) => {
    const at = bytes.indexOf(`\0${name}\0`);
    expect(at, name).toBeGreaterThan(0);
    const without = Buffer.from(bytes);
    without.write("x", at + 1);
    const path = join(folder, `${i}.so`);
    writeFileSync(path, without);
    expect(() => openGpu(0, { driver: path })).toThrow(
      new RegExp(`too old: it has no ${name}; install driver 580 or newer`),
    );
    rmSync(path);
  });
});
