/** @file MODEL as evaluation judges it: weights that can be put into an engine, their fingerprint, the tokenizer. */
import { statSync } from "node:fs";
import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { dataFields } from "../data/fields.ts";
import { openTokenizer } from "../data/tokenizers/open_tokenizer.ts";
import { JudgedModel } from "../evaluate/judged_model.ts";
import type { Precision } from "../nn/trace.ts";
import { openDevice } from "../runtime/index.ts";
import type { Engine } from "../train/engine.ts";
import { trainingFields } from "../train/fields.ts";
import { resolvePrecision } from "../train/job_programs.ts";
import { targetOf } from "../train/target.ts";
import { loadWeights } from "../train/weights.ts";
import { WindowHash } from "../util/window_hash.ts";
import { type RunSource, trainedRun } from "./trained_run.ts";

export interface OpenJudged {
  readonly judged: JudgedModel;
  /** Hash of the weights' files. */
  readonly weights: string;
  readonly tokenizer: string;
  readonly precision: Precision;
  close(): void;
}

const READ_BYTES = 2 ** 24;

async function hashInto(hash: WindowHash, path: string): Promise<void> {
  const file = await open(path, "r");
  try {
    const window = new Uint8Array(READ_BYTES);
    for (;;) {
      const { bytesRead } = await file.read(window, 0, READ_BYTES);
      if (bytesRead === 0) return;
      hash.update(window.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}

/** Of a file, or of all tensor files of a folder in the order of their names. */
async function weightsHash(path: string): Promise<string> {
  const hash = new WindowHash();
  if (!statSync(path).isDirectory()) await hashInto(hash, path);
  else
    for (const name of (await readdir(path)).sort())
      if (name.endsWith(".safetensors")) await hashInto(hash, join(path, name));
  return hash.digest();
}

export async function openJudged(source: RunSource): Promise<OpenJudged> {
  const { config, model, weights } = trainedRun(source);
  const tokenizer = await openTokenizer(config.get(dataFields.tokenizer));
  const fingerprint = await weightsHash(weights);
  const threads = source.threads ?? config.get(trainingFields.threads);
  const device = openDevice(threads === null ? {} : { threads });
  try {
    const precision = resolvePrecision(config, targetOf(device));
    const put = (engine: Engine): void => loadWeights(engine, model, weights);
    return {
      judged: new JudgedModel({ device, model, tokenizer, precision, weights: put }),
      ...{ weights: fingerprint, tokenizer: tokenizer.fingerprint, precision },
      close: () => device.close(),
    };
  } catch (error) {
    device.close();
    throw error;
  }
}
