/**
 * @file Runs tasks on a model, and remembers what came of them: a task that was run with the same weights, tokenizer, items and version
 * before is read from the cache.
 */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { writeAtomically } from "../util/atomic_file.ts";
import { VERSION } from "../util/version.ts";
import { readItems } from "./items.ts";
import type { JudgedModel, Watch } from "./judged_model.ts";
import type { Measured } from "./metrics.ts";
import {
  type ReadItems,
  runTask,
  type SampleRecord,
  type TaskOptions,
  type TaskResult,
} from "./run_task.ts";
import type { EvaluationTask } from "./task.ts";

export interface EvaluateOptions extends TaskOptions {
  /** Folder of the cache; null: none is read or written. */
  readonly cache: string | null;
  /** Fingerprint of the weights. */
  readonly weights: string;
  readonly precision: string;
}

interface Kept {
  readonly shots: number;
  readonly itemsInAll: number;
  readonly items: number;
  readonly measured: readonly (readonly [string, Measured])[];
  readonly samples: readonly SampleRecord[];
}

const sha256 = (text: string): string => new Bun.CryptoHasher("sha256").update(text).digest("hex");

/** Everything of a task that decides its results: templates and patterns as text, functions by their source. */
const described = (task: EvaluationTask): string =>
  JSON.stringify(task, (_, value: unknown) =>
    typeof value === "function" || value instanceof RegExp ? String(value) : value,
  );

/** Reads each split once, for the key and for the task. */
function readOnce(): ReadItems {
  const known = new Map<string, ReturnType<ReadItems>>();
  return (task, split) => {
    const items = known.get(split) ?? readItems(task, split);
    known.set(split, items);
    return items;
  };
}

async function keyOf(
  model: JudgedModel,
  task: EvaluationTask,
  options: EvaluateOptions,
  read: ReadItems,
): Promise<string> {
  const { limit, shots, seed, weights, precision } = options;
  const splits = [task.split, ...(task.fewshotSplit === null ? [] : [task.fewshotSplit])];
  const wanted = (shots ?? task.shots) > 0 ? splits : splits.slice(0, 1);
  const items: string[] = [];
  for (const split of wanted) items.push(sha256(JSON.stringify(await read(task, split))));
  const tokenizer = model.tokenizer.fingerprint;
  const all = { weights, precision, tokenizer, limit, shots, seed, items, program: VERSION };
  return sha256(JSON.stringify({ ...all, context: model.context, task: described(task) }));
}

function kept(path: string, task: EvaluationTask): TaskResult | null {
  if (!existsSync(path)) return null;
  try {
    const { measured, ...rest } = JSON.parse(readFileSync(path, "utf8")) as Kept;
    return { task, ...rest, measured: new Map(measured) };
  } catch {
    // A damaged file of a cache is as good as none.
    return null;
  }
}

export interface Evaluated extends TaskResult {
  /** Whether it was read from the cache. */
  readonly cached: boolean;
}

export async function evaluateTask(
  model: JudgedModel,
  task: EvaluationTask,
  options: EvaluateOptions,
  watch: Watch = {},
): Promise<Evaluated> {
  const { cache } = options;
  if (cache === null)
    return { ...(await runTask(model, task, options, readItems, watch)), cached: false };
  const read = readOnce();
  const path = join(cache, `${await keyOf(model, task, options, read)}.json`);
  const known = kept(path, task);
  if (known !== null) return { ...known, cached: true };
  const result = await runTask(model, task, options, read, watch);
  const { shots, itemsInAll, items, measured, samples } = result;
  const text = JSON.stringify({ shots, itemsInAll, items, measured: [...measured], samples });
  mkdirSync(cache, { recursive: true });
  writeAtomically(path, `${text}\n`);
  return { ...result, cached: false };
}
