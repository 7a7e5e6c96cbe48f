/** @file Results in the shape of lm-evaluation-harness (`results.json`), as a table for people, and what each item said (`samples_*.jsonl`). */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { writeAtomically } from "../util/atomic_file.ts";
import { VERSION } from "../util/version.ts";
import { higherIsBetter } from "./metrics.ts";
import type { TaskResult } from "./run_task.ts";

/** Folder of a run that holds its evaluations. */
export const EVALUATIONS = "evaluations";

export interface ResultsHead {
  /** As the user named the model. */
  readonly model: string;
  /** What was judged: fingerprints of weights and tokenizer. */
  readonly weights: string;
  readonly tokenizer: string;
  readonly limit: number | null;
  readonly seed: number;
}

type Json = Record<string, unknown>;

const byTask = (results: readonly TaskResult[], value: (result: TaskResult) => unknown): Json =>
  Object.fromEntries(results.map((result) => [result.task.name, value(result)]));

function numbers(result: TaskResult): Json {
  const out: Json = { alias: result.task.name };
  for (const [name, { value, stderr }] of result.measured) {
    const [metric = "", filter = "none"] = name.split(",");
    out[`${metric},${filter}`] = value;
    out[`${metric}_stderr,${filter}`] = stderr ?? "N/A";
  }
  return out;
}

export function resultsJson(results: readonly TaskResult[], head: ResultsHead): Json {
  return {
    schema_version: 1,
    results: byTask(results, numbers),
    versions: byTask(results, ({ task }) => task.version),
    "n-shot": byTask(results, ({ shots }) => shots),
    higher_is_better: byTask(results, ({ task }) =>
      Object.fromEntries(task.metrics.map(({ metric }) => [metric, higherIsBetter(metric)])),
    ),
    "n-samples": byTask(results, ({ itemsInAll, items }) => ({
      original: itemsInAll,
      effective: items,
    })),
    config: { ...head, program: `theseus ${VERSION}` },
    model_name: head.model,
  };
}

/** Writes `results.json` and one samples file a task into `folder`. */
export function writeResults(
  folder: string,
  results: readonly TaskResult[],
  head: ResultsHead,
): void {
  mkdirSync(folder, { recursive: true });
  for (const { task, samples } of results) {
    const lines = samples.map((sample) => `${JSON.stringify(sample)}\n`).join("");
    writeAtomically(join(folder, `samples_${task.name}.jsonl`), lines);
  }
  const text = `${JSON.stringify(resultsJson(results, head), null, 2)}\n`;
  writeAtomically(join(folder, "results.json"), text);
}

/** A line a metric: task, filter, examples, metric, value, standard error. */
export function resultsTable(results: readonly TaskResult[]): string[][] {
  const rows = [["task", "version", "filter", "shots", "metric", "value", "stderr", "items"]];
  for (const { task, shots, items, measured } of results)
    for (const [name, { value, stderr }] of measured) {
      const [metric = "", filter = ""] = name.split(",");
      const better = task.metrics.some(
        (each) => each.metric === metric && higherIsBetter(each.metric),
      );
      rows.push([
        ...[task.name, task.version, filter, String(shots), `${metric} ${better ? "↑" : "↓"}`],
        ...[value.toFixed(4), stderr === null ? "" : `± ${stderr.toFixed(4)}`, String(items)],
      ]);
    }
  return rows;
}
