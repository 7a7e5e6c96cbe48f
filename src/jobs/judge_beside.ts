/** @file Judges the weights that a training engine holds; loaded when an evaluation is due. */
import { join } from "node:path";
import { taskNamed } from "../evaluate/builtin_tasks.ts";
import { taskFields } from "../evaluate/fields.ts";
import { readItems } from "../evaluate/items.ts";
import { JudgedModel } from "../evaluate/judged_model.ts";
import { EVALUATIONS, writeResults } from "../evaluate/results.ts";
import { runTask, type TaskResult } from "../evaluate/run_task.ts";
import type { Judging } from "../train/job.ts";
import { resolvePrecision } from "../train/precision.ts";
import { targetOf } from "../train/target.ts";

export async function judge({
  engine,
  model,
  tokenizer,
  config,
  step,
  directory,
  signal,
}: Judging) {
  const { device } = engine;
  const precision = resolvePrecision(config, targetOf(device));
  const judged = new JudgedModel({ device, model, tokenizer, precision, weights: engine });
  const { tasks, limit, shots, seed } = config.values(taskFields);
  const results: TaskResult[] = [];
  for (const task of tasks.map(taskNamed)) {
    const watch = signal === undefined ? {} : { signal };
    results.push(await runTask(judged, task, { limit, shots, seed }, readItems, watch));
  }
  const name = `step-${String(step).padStart(6, "0")}`;
  const head = { model: directory, weights: name, tokenizer: tokenizer.fingerprint, limit, seed };
  writeResults(join(directory, EVALUATIONS, name), results, head);
  return Object.fromEntries(
    results.flatMap(({ task, measured }) =>
      [...measured].map(([metric, { value }]) => [`${task.name}/${metric}`, value] as const),
    ),
  );
}
