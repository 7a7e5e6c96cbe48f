/**
 * @file What checkpoints cost: training that saves every few steps against training that never does, and the speed of a save
 * against plain sequential writes of the same bytes. Prints one line of JSON.
 */
import { constants, mkdtempSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Field } from "../src/config/field.ts";
import { commitCheckpoint, contentBytes, WRITE_BYTES } from "../src/train/checkpoint/commit.ts";
import { realFiles } from "../src/train/checkpoint/files.ts";
import {
  checkpointFields,
  loggingFields,
  trainingFields,
  validationFields,
} from "../src/train/fields.ts";
import { runTraining } from "../src/train/run.ts";
import { savedStates, stateLayouts } from "../src/train/saved_states.ts";
import { SIZES, type SizeName, sizeConfig } from "./sizes.ts";

const { values } = parseArgs({
  options: {
    size: { type: "string", default: "small" },
    /** Steps that are timed. */
    steps: { type: "string", default: "30" },
    every: { type: "string", default: "5" },
    threads: { type: "string" },
    /** A folder on the disk in question. */
    folder: { type: "string", default: tmpdir() },
    repeats: { type: "string", default: "3" },
  },
});
if (!(values.size in SIZES)) throw new Error(`--size expected ${Object.keys(SIZES).join(", ")}`);
const size = values.size as SizeName;
const every = Number(values.every);
const root = mkdtempSync(join(values.folder, "theseus-bench-"));
const WARMUP = 3;

const { job, config: asked } = sizeConfig({
  ...{ size, precision: "f32" },
  ...(values.threads === undefined ? {} : { threads: Number(values.threads) }),
});

// The built-in text is bytes, whatever the size's own vocabulary.
const vocabulary = asked.schema.fields.get("architecture/vocab_size");
const config =
  vocabulary === undefined
    ? asked
    : asked.with(new Map([[vocabulary, Math.max(256, Number(asked.get(vocabulary)))]]));

/** Seconds of each timed step. Neither the first ones nor the last, which validates, is among them. */
async function stepSeconds(name: string, interval: number): Promise<number[]> {
  const timed = Number(values.steps);
  const settings = new Map<Field<unknown>, unknown>();
  settings.set(trainingFields.steps, WARMUP + timed + 1);
  settings.set(checkpointFields.interval, interval);
  settings.set(validationFields.interval, 0);
  settings.set(validationFields.batches, 1);
  settings.set(loggingFields.trackers, []);
  const ends: number[] = [];
  await runTraining({
    job,
    config: config.with(settings),
    place: { root, project: "general", group: "default", name },
    onProgress: (event) => {
      if (event.kind === "step") ends.push(performance.now());
    },
  });
  rmSync(root, { recursive: true });
  return ends.slice(WARMUP, -1).map((end, i) => (end - (ends[WARMUP - 1 + i] ?? end)) / 1e3);
}

const sum = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0);
const median = (xs: readonly number[]): number =>
  [...xs].sort((a, b) => a - b)[xs.length >> 1] ?? 0;
/**
 * The cost within one run, which what else the machine does cannot mimic: all steps against the second half of the steps between two
 * saves, when the save is long written.
 */
function costWithin(seconds: readonly number[]): number {
  const undisturbed = seconds.filter((_, i) => (WARMUP + i) % every >= every / 2);
  const mean = (xs: readonly number[]): number => sum(xs) / xs.length;
  return mean(seconds) / mean(undisturbed) - 1;
}
const rounded = (x: number, digits = 3): number => Number(x.toFixed(digits));

/** A checkpoint of this size: one pattern for all, every byte of which is hashed and written. */
const pattern = new Uint8Array(WRITE_BYTES);
for (let at = 0; at < pattern.length; at += 1 << 16)
  crypto.getRandomValues(pattern.subarray(at, at + (1 << 16)));
const contents = {
  files: Object.fromEntries(
    [...stateLayouts(savedStates(job.model(config)))].map(([name, layout]) => [
      name,
      { bytes: layout.bytes, window: (_: number, length: number) => pattern.subarray(0, length) },
    ]),
  ),
  manifest: {
    ...{ program_version: "bench", tokens: 0, run_id: "bench", permanent: false },
    ...{ state: {}, config_hash: "", parent: null },
  },
};
const bytes = contentBytes(contents);

async function saveSeconds(step: number): Promise<number> {
  const began = performance.now();
  const { manifest } = contents;
  await commitCheckpoint(realFiles, root, { ...contents, manifest: { ...manifest, step } });
  const seconds = (performance.now() - began) / 1e3;
  await realFiles.remove(root);
  await realFiles.makeFolder(root);
  return seconds;
}

/** The same bytes into one file, in blocks of the same size, and one fsync; `flags` as of open(2). */
async function plainSeconds(flags: number): Promise<number> {
  const { O_WRONLY, O_CREAT } = constants;
  const began = performance.now();
  const file = await open(join(root, "plain"), O_WRONLY | O_CREAT | flags);
  for (let at = 0; at < bytes; at += WRITE_BYTES) await file.write(pattern);
  await file.sync();
  await file.close();
  const seconds = (performance.now() - began) / 1e3;
  await realFiles.remove(join(root, "plain"));
  return (seconds * bytes) / (Math.ceil(bytes / WRITE_BYTES) * WRITE_BYTES);
}

try {
  const never: number[] = [];
  const saving: number[] = [];
  const saves: number[] = [];
  const plain: number[] = [];
  const direct: number[] = [];
  // In turn, so that what else the machine does falls on both.
  for (let repeat = 0; repeat < Number(values.repeats); repeat++) {
    never.push(...(await stepSeconds("never", 0)));
    saving.push(...(await stepSeconds("saving", every)));
    await realFiles.makeFolder(root);
    saves.push(await saveSeconds(repeat + 1));
    plain.push(await plainSeconds(0));
    direct.push(await plainSeconds(constants.O_DIRECT));
  }
  console.log(
    JSON.stringify({
      ...{ bench: "checkpoint", size, every, checkpoint_mib: rounded(bytes / 2 ** 20, 1) },
      steps: saving.length,
      never_saving_s: rounded(sum(never)),
      saving_s: rounded(sum(saving)),
      cost: rounded(sum(saving) / sum(never) - 1),
      cost_within_run: rounded(costWithin(saving)),
      same_without_saving: rounded(costWithin(never)),
      median_step_s: rounded(median(saving), 4),
      slowest_step_over_median: rounded(Math.max(...saving) / median(saving), 2),
      slowest_over_median_never_saving: rounded(Math.max(...never) / median(never), 2),
      save_mib_per_s: rounded(bytes / 2 ** 20 / median(saves), 1),
      plain_mib_per_s: rounded(bytes / 2 ** 20 / median(plain), 1),
      direct_mib_per_s: rounded(bytes / 2 ** 20 / median(direct), 1),
      of_plain_speed: rounded(median(plain) / median(saves)),
      of_direct_speed: rounded(median(direct) / median(saves)),
    }),
  );
} finally {
  rmSync(root, { recursive: true, force: true });
}
