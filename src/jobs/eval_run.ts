/** @file The job eval/run: judges a model on tasks, in a run directory of its own. */
import { judgedFields, taskFields } from "../evaluate/fields.ts";
import { defineTask } from "./define_task.ts";

export const evalRun = defineTask({
  name: "eval/run",
  doc: "judge a model on evaluation tasks",
  uses: [{ config: judgedFields }, { config: taskFields }],
  free: ["evaluation/device"],
  run: async (context) => (await import("./run_evaluation.ts")).runEvaluation(context),
});
