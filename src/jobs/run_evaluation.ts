/** @file The work of the job eval/run; loaded when it runs. */
import { join } from "node:path";
import { taskNamed } from "../evaluate/builtin_tasks.ts";
import { type Evaluated, evaluateTask } from "../evaluate/evaluate.ts";
import { judgedFields, taskFields } from "../evaluate/fields.ts";
import { EVALUATIONS, writeResults } from "../evaluate/results.ts";
import type { TaskContext, TaskResult } from "../train/task.ts";
import { ConfigError } from "../util/errors.ts";
import { modelFiles } from "./model_place.ts";
import { openJudged } from "./open_judged.ts";

const summary = ({ task, measured }: Evaluated): string =>
  [...measured].map(([name, { value }]) => `${task.name} ${name} ${value.toFixed(4)}`).join(", ");

export async function runEvaluation({ config, place, directory, signal, progress }: TaskContext) {
  const { tasks: names, limit, shots, seed } = config.values(taskFields);
  if (names.length === 0)
    throw new ConfigError("nothing to judge: evaluation.tasks is empty", {
      hint: "evaluation.tasks=[hellaswag]; `theseus tasks` lists those with a name",
      place: { key: "evaluation.tasks" },
    });
  const tasks = names.map(taskNamed);
  const { model, device } = config.values(judgedFields);
  const files = await modelFiles(model, place.root);
  const open = await openJudged({ ...files, device });
  const { weights, tokenizer, precision } = open;
  const cache = join(place.root, "cache", EVALUATIONS);
  const results: Evaluated[] = [];
  try {
    for (const [index, task] of tasks.entries()) {
      const onProgress = (done: number, all: number): void =>
        progress({
          fraction: (index + done / all) / tasks.length,
          text: `${task.name}  ${done} of ${all}`,
          values: { task: task.name, done, all },
        });
      const options = { limit, shots, seed, cache, weights, precision };
      results.push(await evaluateTask(open.judged, task, options, { onProgress, signal }));
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    const values = { tasks_done: results.length };
    return { state: "interrupted", text: "interrupted", values } satisfies TaskResult;
  } finally {
    open.close();
  }
  writeResults(directory, results, { model, weights, tokenizer, limit, seed });
  const values = Object.fromEntries(
    results.map(({ task, measured }) => [task.name, Object.fromEntries(measured)]),
  );
  const text = results.map(summary).join("\n");
  return { state: "finished", text, values } satisfies TaskResult;
}
