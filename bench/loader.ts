/**
 * @file What reading training data costs: batches of a generated folder of tokens, with the page cache cold and warm, beside the steps
 * that use them. `bun bench/loader.ts --mb 400 --size small`; every line is one measurement as JSON.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { $ } from "bun";
import { type Batch, newBatch } from "../src/data/batch.ts";
import { openDataset } from "../src/data/dataset.ts";
import { dataFields } from "../src/data/fields.ts";
import { folderSampler } from "../src/data/folder_plan.ts";
import { fillBatch } from "../src/data/loader.ts";
import { TokenFolder } from "../src/data/shards/token_folder.ts";
import { LARGEST_F32 } from "../src/optim/adamw_update.ts";
import { openDevice } from "../src/runtime/index.ts";
import { Engine, type Run } from "../src/train/engine.ts";
import { compileTraining } from "../src/train/job_programs.ts";
import { targetOf } from "../src/train/target.ts";
import { generateFolder } from "./loader_folder.ts";
import { SIZES, type SizeName, sizeConfig } from "./sizes.ts";

const { values } = parseArgs({
  options: {
    mb: { type: "string", default: "400" },
    kind: { type: "string", default: "stream" },
    size: { type: "string", default: "small" },
    steps: { type: "string", default: "40" },
    batch: { type: "string" },
    folder: { type: "string" },
  },
});
if (!(values.size in SIZES)) throw new Error(`--size expected ${Object.keys(SIZES).join(", ")}`);
if (values.kind !== "stream" && values.kind !== "rows") throw new Error("--kind stream, rows");

const size = values.size as SizeName;
const [, , , length, defaultRows, vocabulary] = SIZES[size];
const rows = Number(values.batch ?? defaultRows);
const kind = values.kind;
const root = values.folder ?? mkdtempSync(join(tmpdir(), "theseus-loader-"));
const megabytes = Number(values.mb);
const report = (line: Readonly<Record<string, unknown>>): void =>
  console.log(JSON.stringify({ kind, size, rows, length, mb: megabytes, ...line }));
const rounded = (x: number, digits = 3): number => Number(x.toFixed(digits));
const median = (times: readonly number[]): number =>
  times.toSorted((a, b) => a - b)[times.length >> 1] ?? Number.NaN;
const rssMib = (): number => Math.round(process.memoryUsage.rss() / 2 ** 20);

const folder = generateFolder(root, { kind, megabytes, vocabulary, longest: length + 1 });
const files = [...new Bun.Glob("*.{tokens,starts}").scanSync(folder)].map((f) => join(folder, f));

/** Makes the next reads come from the disk. */
async function chill(): Promise<void> {
  await $`sync ${files}`.quiet();
  for (const file of files) await $`dd if=${file} iflag=nocache count=0`.quiet();
}

function openTimes(): void {
  const began = performance.now();
  const opened = TokenFolder.open(folder);
  const plan = { ...{ folders: [folder], stages: [], length, seed: 1 }, separate: kind === "rows" };
  const { sampler } = folderSampler(plan, [opened]);
  report({
    what: "open",
    ms: rounded(performance.now() - began, 1),
    documents: opened.store("train").documentCount,
    samples_per_epoch: sampler.perEpoch,
  });
}

/** Filling on this thread, and the same windows through a mapping. */
async function fills(): Promise<void> {
  const count = 300;
  const opened = TokenFolder.open(folder);
  const plan = { ...{ folders: [folder], stages: [], length, seed: 1 }, separate: kind === "rows" };
  const { sampler } = folderSampler(plan, [opened]);
  const batch = newBatch(rows, length);
  const measure = async (what: string, fill: (first: number) => void): Promise<void> => {
    for (const cache of ["cold", "warm"]) {
      if (cache === "cold") await chill();
      const before = rssMib();
      const times: number[] = [];
      for (let i = 0; i < count; i++) {
        const began = performance.now();
        fill(i * rows);
        times.push(performance.now() - began);
      }
      const mean = times.reduce((sum, ms) => sum + ms, 0) / count;
      report({
        ...{
          what,
          cache,
          us_per_batch: rounded(mean * 1e3, 1),
          worst_us: rounded(Math.max(...times) * 1e3, 0),
        },
        rss_grew_mib: rssMib() - before,
      });
    }
  };
  await measure("fill by reading", (first) => fillBatch(sampler, first, batch, rows));
  if (kind === "stream") {
    const shards = opened.index.splits.train;
    const maps = shards.map(({ tokens }) => {
      const bytes = Bun.mmap(join(folder, tokens.file));
      return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
    });
    await measure("fill by mapping", (first) => {
      for (let row = 0; row < rows; row++) {
        let at = sampler.place(first + row).token;
        const map = maps.find((each) => {
          if (at < each.length) return true;
          at -= each.length;
          return false;
        });
        if (map === undefined) continue;
        batch.tokens.set(map.subarray(at, at + length), row * length);
        batch.targets.set(map.subarray(at + 1, at + length + 1), row * length);
      }
    });
  }
}

/** Steps with a batch that lies ready beside steps with the loader, in blocks that take turns. */
async function steps(): Promise<void> {
  const { job, config: plain } = sizeConfig({ size, precision: "f32", batch: rows });
  const config = plain.with(new Map([[dataFields.documentMask, kind === "rows"]]));
  const model = job.model(config);
  const device = openDevice();
  const engine = new Engine(device, compileTraining(model, config, targetOf(device)));
  await (await engine.start("init")).done();
  const dataset = await openDataset({
    ...{ text: "sotu", tokens: folder, mixture: [], stages: [], documentMask: null },
    ...{ verify: false, tokenizer: "bytes", validationFraction: 0.05 },
  });
  const sample = Uint32Array.from({ length: rows }, (_, row) => row);
  let index = 0;
  let pending: Run | undefined;
  const step = async (batch: Batch): Promise<void> => {
    await engine.start("micro", { ...batch, step: index, sample });
    const update = await engine.start("update", {
      ...{ learning_rate: 1e-4, step: ++index, norm_limit: LARGEST_F32 },
    });
    // As the trainer does: a step's results are read while the next one computes.
    await pending?.output("loss");
    pending = update;
    await new Promise(setImmediate);
  };
  for (const cache of ["cold", "warm"]) {
    if (cache === "cold") await chill();
    const data = dataset.train({ length, seed: 1, samplesPerStep: rows });
    const loader = data.loader(rows, 0);
    const still = newBatch(rows, length);
    const first = await loader.take(0);
    still.tokens.set(first.tokens);
    still.targets.set(first.targets);
    still.positions.set(first.positions);
    still.documents.set(first.documents);
    const [ready, loaded, waits]: number[][] = [[], [], []];
    let taken = 1;
    for (let i = 0; i < 2 * Number(values.steps); i++) {
      const withLoader = Math.floor(i / 5) % 2 === 1;
      const began = performance.now();
      const batch = withLoader ? await loader.take(taken++ * rows) : still;
      const waited = performance.now() - began;
      await step(batch);
      const ms = performance.now() - began;
      // The first step of a block still waits for one of the other kind.
      if (i % 5 === 0) continue;
      if (withLoader) waits?.push(waited);
      (withLoader ? loaded : ready)?.push(ms);
    }
    loader.close();
    const mean = (waits ?? []).reduce((sum, ms) => sum + ms, 0) / (waits?.length ?? 1);
    report({
      ...{ what: "step", cache, ms_ready: rounded(median(ready ?? [])) },
      ms_loader: rounded(median(loaded ?? [])),
      take_us: rounded(mean * 1e3, 1),
      take_worst_us: rounded(Math.max(...(waits ?? [])) * 1e3, 0),
      take_percent_of_step: rounded((100 * mean) / median(ready ?? [])),
    });
  }
  await engine.finish();
  engine.free();
  device.close();
}

openTimes();
await fills();
await steps();
if (values.folder === undefined) rmSync(root, { recursive: true });
