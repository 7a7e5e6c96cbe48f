/** @file Evaluation beside a training: the tasks judge the weights that the training engine holds, in a folder of the run. */
import type { Config } from "../config/config.ts";
import { besideTrainingFields, taskFields } from "../evaluate/fields.ts";
import type { Job } from "../train/job.ts";

export const evaluation: Job["evaluation"] = {
  judge: async (judging) => (await import("./judge_beside.ts")).judge(judging),
  interval: (config: Config) =>
    config.get(taskFields.tasks).length === 0 ? null : config.get(besideTrainingFields.interval),
  async check(config: Config): Promise<void> {
    const { taskNamed } = await import("../evaluate/builtin_tasks.ts");
    for (const name of config.get(taskFields.tasks)) taskNamed(name);
  },
};
