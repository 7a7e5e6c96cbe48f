/**
 * @file One optimizer step of our GPT: forward, backward, global-norm clip, AdamW. The same work, flags and output fields as
 * bench/peer_torch.py. `--profile` adds the time of every kernel to stderr, `--json` keeps the figures in bench/results.jsonl.
 * As in training, a step is started before the loss of the one before it is read.
 */
import { parseArgs } from "node:util";
import { LARGEST_F32 } from "../src/optim/adamw_update.ts";
import { chooseDevice, DEVICE_FORM } from "../src/runtime/index.ts";
import { Engine, type Run } from "../src/train/engine.ts";
import { compileTraining } from "../src/train/job_programs.ts";
import { machineOf } from "../src/train/machine.ts";
import { memoryReport } from "../src/train/memory_report.ts";
import { peakOf } from "../src/train/peak.ts";
import { targetOf } from "../src/train/target.ts";
import { printProfile } from "./profile.ts";
import { keepFigures, originOf } from "./results.ts";
import { ceilingsOf } from "./roofline_model.ts";
import { isSize, SIZES, sizeConfig } from "./sizes.ts";

const { values } = parseArgs({
  options: {
    size: { type: "string", default: "small" },
    dtype: { type: "string", default: "f32" },
    // training.precision; default: f32, or the most bf16 that the device has.
    precision: { type: "string" },
    steps: { type: "string", default: "12" },
    threads: { type: "string" },
    device: { type: "string", default: "cpu" },
    batch: { type: "string" },
    seq: { type: "string" },
    profile: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});

const { size } = values;
if (!isSize(size)) throw new Error(`--size expected ${Object.keys(SIZES).join(", ")}`);
if (values.dtype !== "f32" && values.dtype !== "bf16")
  throw new Error("--dtype expected f32, bf16");
if (!DEVICE_FORM.test(values.device)) throw new Error("--device expected cpu, cuda, cuda:N");

const PRECISIONS = ["f32", "mixed", "bf16"] as const;
const most = values.dtype === "f32" ? "f32" : values.device === "cpu" ? "mixed" : "bf16";
const precision = PRECISIONS.find((each) => each === (values.precision ?? most));
if (precision === undefined) throw new Error(`--precision expected ${PRECISIONS.join(", ")}`);

const optional = (text: string | undefined) => (text === undefined ? undefined : Number(text));
const [layers, , width, context, defaultBatch, vocabulary] = SIZES[size];
const seq = optional(values.seq) ?? context;
const batch = optional(values.batch) ?? defaultBatch;
const threads = optional(values.threads);

const began = performance.now();
const { job, config } = sizeConfig({
  ...{ size, precision, batch, seq },
  ...(threads === undefined ? {} : { threads }),
});
const model = job.model(config);
const device = chooseDevice({ device: values.device, threads: threads ?? null });
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

async function step(index: number): Promise<Run> {
  const inputs = { tokens: random(), targets: random(), step: index, sample: samples };
  await engine.start("micro", inputs);
  return engine.start("update", {
    ...{ learning_rate: 3e-4, step: index + 1, norm_limit: LARGEST_F32 },
  });
}
const lossOf = async (run: Run): Promise<number> => Number(await run.output("loss"));

const firstBegan = performance.now();
await lossOf(await step(0));
const firstMs = performance.now() - firstBegan;
for (let index = 1; index < 3; index++) await lossOf(await step(index));
if (values.profile) engine.setProfiling(true);
const times: number[] = [];
let before = await step(3);
await before.done();
let t = performance.now();
let loss = Number.NaN;
for (let index = 0; index < Number(values.steps); index++) {
  const next = await step(index + 4);
  loss = await lossOf(before);
  before = next;
  if (index > 0) times.push(performance.now() - t);
  t = performance.now();
}
await before.done();
times.push(performance.now() - t);
times.sort((a, b) => a - b);
const median = times[times.length >> 1] ?? Number.NaN;
const { gpu } = device.info;
const ceilings = gpu === null ? null : ceilingsOf(gpu.name);
if (values.profile) printProfile(engine, times.length + 1, ceilings);

const parameters = model.parameters().reduce((sum, { count }) => sum + count, 0);
const tokens = batch * seq;
/** llm.c's count, in which a token attends to half of the context on average; and the full one of nanoGPT and PaLM. */
const causal = 6 * parameters + 6 * layers * width * seq;
const full = 6 * parameters + 12 * layers * width * seq;
const peak = peakOf(target, gpu?.name ?? null, values.dtype === "bf16");
const rounded = (x: number, digits: number): number => Number(x.toFixed(digits));
const mfu = (perToken: number): number | null =>
  peak === null ? null : rounded((perToken * tokens) / (median / 1e3) / peak, 4);

const figures = {
  ...{ peer: "theseus", size, dtype: values.dtype, precision, ...originOf(device) },
  ...{ level: target.level, threads: target.threads, batch, seq, parameters },
  tokens_per_s: rounded(tokens / (median / 1e3), 1),
  ms_per_step: rounded(median, 2),
  min_ms: rounded(times[0] ?? Number.NaN, 2),
  gflops_per_s: rounded((full * tokens) / (median / 1e3) / 1e9, 1),
  "mfu_causal_6N+6LCT": mfu(causal),
  "mfu_full_6N+12LCT": mfu(full),
  peak_tflops: peak === null ? null : rounded(peak / 1e12, 1),
  loss: rounded(loss, 4),
  compile_ms: rounded(compileMs, 1),
  start_s: rounded(startMs / 1e3, 3),
  first_step_s: rounded(firstMs / 1e3, 4),
  peak_rss_mib: Math.round(process.resourceUsage().maxRSS / 1024),
  planned_mib: Math.round(memoryReport(programs, machineOf(device)).totalBytes / 2 ** 20),
  peak_gpu_mib: gpu === null ? null : Math.round(gpu.allocated_bytes / 2 ** 20),
};
console.log(JSON.stringify(figures));
if (values.json) keepFigures(figures);
engine.free();
device.close();
