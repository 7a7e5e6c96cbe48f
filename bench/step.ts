/**
 * @file One optimizer step of our GPT: forward, backward, global-norm clip, AdamW. The same work, flags and output fields as
 * bench/peer_torch.py. `--profile` adds the time of every kernel to stderr.
 */

import { parseArgs } from "node:util";
import { LARGEST_F32 } from "../src/optim/adamw_update.ts";
import { openDevice } from "../src/runtime/index.ts";
import { Engine } from "../src/train/engine.ts";
import { compileTraining } from "../src/train/job_programs.ts";
import { machineOf } from "../src/train/machine.ts";
import { memoryReport } from "../src/train/memory_report.ts";
import { targetOf } from "../src/train/target.ts";
import { printProfile } from "./profile.ts";
import { SIZES, type SizeName, sizeConfig } from "./sizes.ts";

const { values } = parseArgs({
  options: {
    size: { type: "string", default: "small" },
    dtype: { type: "string", default: "f32" },
    steps: { type: "string", default: "12" },
    threads: { type: "string" },
    device: { type: "string", default: "cpu" },
    batch: { type: "string" },
    seq: { type: "string" },
    profile: { type: "boolean", default: false },
  },
});

if (!(values.size in SIZES)) throw new Error(`--size expected ${Object.keys(SIZES).join(", ")}`);
if (values.dtype !== "f32" && values.dtype !== "bf16")
  throw new Error("--dtype expected f32, bf16");
if (values.device !== "cpu") throw new Error("--device expected cpu");

const optional = (text: string | undefined) => (text === undefined ? undefined : Number(text));
const size = values.size as SizeName;
const [layers, , width, context, defaultBatch, vocabulary] = SIZES[size];
const seq = optional(values.seq) ?? context;
const batch = optional(values.batch) ?? defaultBatch;
const threads = optional(values.threads);

const began = performance.now();
const { job, config } = sizeConfig({
  ...{ size, precision: values.dtype === "bf16" ? ("mixed" as const) : ("f32" as const) },
  ...{ batch, seq },
  ...(threads === undefined ? {} : { threads }),
});
const model = job.model(config);
const device = openDevice(threads === undefined ? {} : { threads });
const target = targetOf(device);
const compileBegan = performance.now();
const programs = compileTraining(model, config, target);
const compileMs = performance.now() - compileBegan;
const engine = new Engine(device, programs);
await (await engine.start("init")).done();
const startMs = performance.now() - began;

const samples = Uint32Array.from({ length: batch }, (_, row) => row);
const random = (): Int32Array =>
  Int32Array.from({ length: batch * seq }, () => Math.floor(Math.random() * vocabulary));

async function step(index: number): Promise<number> {
  const inputs = { tokens: random(), targets: random(), step: index, sample: samples };
  await engine.start("micro", inputs);
  const update = await engine.start("update", {
    ...{ learning_rate: 3e-4, step: index + 1, norm_limit: LARGEST_F32 },
  });
  return Number(await update.output("loss"));
}

const firstBegan = performance.now();
await step(0);
const firstMs = performance.now() - firstBegan;
for (let index = 1; index < 3; index++) await step(index);
if (values.profile) engine.setProfiling(true);
const times: number[] = [];
for (let index = 0; index < Number(values.steps); index++) {
  const t = performance.now();
  await step(index + 3);
  times.push(performance.now() - t);
}
times.sort((a, b) => a - b);
const median = times[times.length >> 1] ?? Number.NaN;
const parameters = model.parameters().reduce((sum, { count }) => sum + count, 0);
const flops = 6 * parameters * batch * seq + 12 * layers * width * seq * batch * seq;
if (values.profile) printProfile(engine, times.length);

console.log(
  JSON.stringify({
    peer: "theseus",
    size,
    dtype: values.dtype,
    level: target.level,
    threads: target.threads,
    batch,
    seq,
    parameters,
    tokens_per_s: Number(((batch * seq) / (median / 1e3)).toFixed(1)),
    ms_per_step: Number(median.toFixed(2)),
    min_ms: Number((times[0] ?? Number.NaN).toFixed(2)),
    gflops_per_s: Number((flops / (median / 1e3) / 1e9).toFixed(1)),
    compile_ms: Number(compileMs.toFixed(1)),
    start_s: Number((startMs / 1e3).toFixed(3)),
    first_step_s: Number((firstMs / 1e3).toFixed(4)),
    peak_rss_mib: Math.round(process.resourceUsage().maxRSS / 1024),
    planned_mib: Math.round(memoryReport(programs, machineOf(device)).totalBytes / 2 ** 20),
    peak_gpu_mib: null,
  }),
);
engine.free();
device.close();
