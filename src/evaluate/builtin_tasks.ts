/** @file Tasks by name: those of the program, read from tasks/, and what users' code adds. */

import { Registry } from "../util/registry.ts";
import { readTask } from "./read_task.ts";
import type { EvaluationTask } from "./task.ts";
import { type TaskRecord, taskOf } from "./task_record.ts";
import arcChallenge from "./tasks/arc_challenge.yaml" with { type: "text" };
import arcEasy from "./tasks/arc_easy.yaml" with { type: "text" };
import gsm8k from "./tasks/gsm8k.yaml" with { type: "text" };
import hellaswag from "./tasks/hellaswag.yaml" with { type: "text" };
import lambada from "./tasks/lambada_openai.yaml" with { type: "text" };
import wikitext from "./tasks/wikitext.yaml" with { type: "text" };

const TEXTS: Readonly<Record<string, string>> = {
  hellaswag,
  arc_easy: arcEasy,
  arc_challenge: arcChallenge,
  lambada_openai: lambada,
  gsm8k,
  wikitext,
};

export const TASKS = new Registry<EvaluationTask>(
  "evaluation task",
  Object.entries(TEXTS).map(([name, text]) => readTask(`tasks/${name}.yaml`, text)),
);

/** A task by its name, or from a file whose name ends in .yaml. */
export const taskNamed = (name: string): EvaluationTask =>
  /\.ya?ml$/.test(name) ? readTask(name) : TASKS.named(name);

/** Registers a task of users' code: `theseus eval MODEL --tasks NAME --load FILE.ts`. */
export function evaluation(task: TaskRecord): EvaluationTask {
  const made = taskOf(task);
  TASKS.register(made);
  return made;
}
