/**
 * @file What a step must move and multiply on a GPU, launch by launch, and the least time that it takes: a bound below which no step of
 * these programs can come. Needs no GPU.
 *
 *     bun bench/roofline.ts --size gpt2-gpu [--precision bf16] [--batch 64] [--gpu H100] [--rows 20] [--json]
 */
import { parseArgs } from "node:util";
import { compileTraining } from "../src/train/job_programs.ts";
import { ceilingsOf, foldedScope, type Launch, launchesOf } from "./roofline_model.ts";
import { isSize, SIZES, sizeConfig } from "./sizes.ts";

const { values } = parseArgs({
  options: {
    size: { type: "string", default: "gpt2-gpu" },
    precision: { type: "string", default: "bf16" },
    batch: { type: "string" },
    gpu: { type: "string", default: "H100" },
    rows: { type: "string", default: "20" },
    json: { type: "boolean", default: false },
  },
});
const { size } = values;
if (!isSize(size)) throw new Error(`--size expected ${Object.keys(SIZES).join(", ")}`);
const precision = (["f32", "mixed", "bf16"] as const).find((each) => each === values.precision);
if (precision === undefined) throw new Error("--precision expected f32, mixed, bf16");
const [, , , context, usualBatch] = SIZES[size];
const batch = values.batch === undefined ? usualBatch : Number(values.batch);

const { job, config } = sizeConfig({ size, precision, batch });
const target = { kind: "cuda", level: "sm_90", threads: 1 } as const;
const begun = performance.now();
const programs = compileTraining(job.model(config), config, target);
const compileMs = performance.now() - begun;
const ceilings = ceilingsOf(values.gpu);
const launches = (["micro", "update"] as const).flatMap((name) => {
  const compiled = programs.get(name);
  return compiled === undefined ? [] : launchesOf(compiled.program, ceilings);
});

interface Row {
  ms: number;
  memoryMs: number;
  launches: number;
  gigabytes: number;
  teraflops: number;
}

function gathered(keyOf: (launch: Launch) => string): [string, Row][] {
  const table = new Map<string, Row>();
  for (const launch of launches) {
    const key = keyOf(launch);
    const row = table.get(key) ?? { ms: 0, memoryMs: 0, launches: 0, gigabytes: 0, teraflops: 0 };
    const bytes = launch.readBytes + launch.writtenBytes;
    row.ms += launch.ms;
    row.memoryMs += (1e3 * bytes) / ceilings.bandwidth;
    row.launches++;
    row.gigabytes += bytes / 1e9;
    row.teraflops += launch.flops / 1e12;
    table.set(key, row);
  }
  return [...table].sort(([, a], [, b]) => b.ms - a.ms);
}

const sum = launches.reduce((ms, launch) => ms + launch.ms, 0);

function print(title: string, rows: readonly (readonly [string, Row])[]): void {
  console.error(`${title}\n       ms     %  launches       GB   TFLOP  bound by`);
  for (const [key, row] of rows.slice(0, Number(values.rows))) {
    const figures = [
      row.ms.toFixed(3).padStart(9),
      ((row.ms / sum) * 100).toFixed(1).padStart(5),
      `${row.launches}`.padStart(9),
      row.gigabytes.toFixed(2).padStart(8),
      row.teraflops.toFixed(2).padStart(7),
      row.ms > row.memoryMs * 1.001 ? "products" : "memory  ",
    ];
    console.error(`${figures.join(" ")}  ${key}`);
  }
  console.error("");
}

const tokens = batch * context;
const byKernel = gathered(({ kernel }) => kernel);
const byModule = gathered(({ kernel, scope }) => `${kernel} ${foldedScope(scope)}`.trimEnd());
print("by kernel", byKernel);
print("by kernel and module", byModule);
const rounded = (x: number, digits: number): number => Number(x.toFixed(digits));
const figures = {
  ...{ bench: "roofline", size, precision, batch, seq: context, gpu: values.gpu },
  /** From the model to all encoded programs, on the machine that this runs on. */
  compile_ms: Math.round(compileMs),
  ms_per_step: rounded(sum, 2),
  tokens_per_s: Math.round(tokens / (sum / 1e3)),
  launches: launches.length,
  gigabytes: rounded(
    byKernel.reduce((gb, [, row]) => gb + row.gigabytes, 0),
    1,
  ),
  teraflops: rounded(
    byKernel.reduce((tf, [, row]) => tf + row.teraflops, 0),
    1,
  ),
};
console.log(
  JSON.stringify(values.json ? { ...figures, kernels: Object.fromEntries(byKernel) } : figures),
);
