/** @file All jobs by name: those of the program, and what users' code adds. */
import type { Configured } from "../config/collect.ts";
import type { ConfigTree } from "../config/tree.ts";
import type { Job } from "../train/job.ts";
import type { AnyJob, Task } from "../train/task.ts";
import { Registry } from "../util/registry.ts";
import { dataExport, dataImport } from "./data_exchange.ts";
import { dataTokenize } from "./data_tokenize.ts";
import { dataTokenizePairs, dataTokenizeRows } from "./data_tokenize_chat.ts";
import { defineJob, type JobDefinition } from "./define_job.ts";
import { defineTask, type TaskDefinition } from "./define_task.ts";
import { evalRun } from "./eval_run.ts";
import { gpt2Pretrain, llamaPretrain, neoxPretrain, qwenPretrain } from "./family_pretrain.ts";
import {
  FINETUNES,
  type gpt2Finetune,
  type llamaFinetune,
  type neoxFinetune,
  type qwenFinetune,
} from "./finetune.ts";
import { gptPretrain } from "./gpt_pretrain.ts";

export const JOBS = new Registry<AnyJob>("job", [
  gptPretrain,
  gpt2Pretrain,
  llamaPretrain,
  qwenPretrain,
  neoxPretrain,
  dataTokenize,
  evalRun,
  ...FINETUNES,
  dataTokenizeRows,
  dataTokenizePairs,
  dataImport,
  dataExport,
]);

export const DEFAULT_JOB = gptPretrain.name;

/** The program's own jobs with the types of their configurations. */
export interface KnownJobs {
  readonly "gpt/pretrain": typeof gptPretrain;
  readonly "gpt2/pretrain": typeof gpt2Pretrain;
  readonly "llama/pretrain": typeof llamaPretrain;
  readonly "qwen/pretrain": typeof qwenPretrain;
  readonly "neox/pretrain": typeof neoxPretrain;
  readonly "gpt2/finetune": typeof gpt2Finetune;
  readonly "llama/finetune": typeof llamaFinetune;
  readonly "qwen/finetune": typeof qwenFinetune;
  readonly "neox/finetune": typeof neoxFinetune;
}

/** The type of a job's whole configuration, required groups and all. */
export type ConfigOf<J extends AnyJob> = J extends Job<infer F> | Task<infer F>
  ? ConfigTree<F>
  : never;

export const jobNamed = (name: string): AnyJob => JOBS.named(name);

/** Defines a training job and registers it: a configuration may then say `job: <name>`. */
export function job<const N extends string, const R extends readonly Configured[]>(
  definition: JobDefinition<N, R>,
) {
  const defined = defineJob(definition);
  JOBS.register(defined);
  return defined;
}

/** Defines a job that is no training and registers it. */
export function task<const N extends string, const R extends readonly Configured[]>(
  definition: TaskDefinition<N, R>,
) {
  const defined = defineTask(definition);
  JOBS.register(defined);
  return defined;
}
