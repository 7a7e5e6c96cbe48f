/** @file Evaluation beside a training: the tasks judge the weights that the training engine holds, in a folder of the run. */
import { join } from "node:path";
import type { Config } from "../config/config.ts";
import { taskNamed } from "../evaluate/builtin_tasks.ts";
import { besideTrainingFields, taskFields } from "../evaluate/fields.ts";
import { readItems } from "../evaluate/items.ts";
import { JudgedModel } from "../evaluate/judged_model.ts";
import { EVALUATIONS, writeResults } from "../evaluate/results.ts";
import { runTask, type TaskResult } from "../evaluate/run_task.ts";
import type { Job, Judging } from "../train/job.ts";
import { resolvePrecision } from "../train/precision.ts";
import { targetOf } from "../train/target.ts";

async function judge({ engine, model, tokenizer, config, step, directory, signal }: Judging) {
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

export const evaluation: Job["evaluation"] = {
  judge,
  interval: (config: Config) =>
    config.get(taskFields.tasks).length === 0 ? null : config.get(besideTrainingFields.interval),
  check(config: Config): void {
    for (const name of config.get(taskFields.tasks)) taskNamed(name);
  },
};
