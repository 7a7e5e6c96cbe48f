/** @file Tasks by name: those of the program, read from configs/tasks, and what users' code adds. */
import arcChallenge from "../../configs/tasks/arc_challenge.yaml" with { type: "text" };
import arcEasy from "../../configs/tasks/arc_easy.yaml" with { type: "text" };
import gsm8k from "../../configs/tasks/gsm8k.yaml" with { type: "text" };
import hellaswag from "../../configs/tasks/hellaswag.yaml" with { type: "text" };
import lambada from "../../configs/tasks/lambada_openai.yaml" with { type: "text" };
import wikitext from "../../configs/tasks/wikitext.yaml" with { type: "text" };
import { Registry } from "../util/registry.ts";
import { readTask } from "./read_task.ts";
import type { EvaluationTask } from "./task.ts";

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
  Object.entries(TEXTS).map(([name, text]) => readTask(`configs/tasks/${name}.yaml`, text)),
);

/** A task by its name, or from a file whose name ends in .yaml. */
export const taskNamed = (name: string): EvaluationTask =>
  /\.ya?ml$/.test(name) ? readTask(name) : TASKS.named(name);
