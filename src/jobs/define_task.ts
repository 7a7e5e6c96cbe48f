/** @file A task from what it does: the fields that every job has are added here. */
import { type Configured, collect, type FieldsOf } from "../config/collect.ts";
import { type Field, field } from "../config/field.ts";
import { enumOf } from "../config/schema.ts";
import type { Task, TaskContext, TaskResult } from "../train/task.ts";
import { EVERY_JOB, expectJobName } from "./every_job.ts";

export interface TaskDefinition<N extends string, R extends readonly Configured[]> {
  /** `family/purpose`, as it stands in `job:` of a configuration. */
  readonly name: N;
  readonly doc: string;
  /** Whatever has fields that can be configured: `{ config: fields }`. */
  readonly uses: R;
  /** Settings (slash paths) that may differ when a run goes on, because they change nothing of its result. */
  readonly free?: readonly string[];
  /** Does the work, or what is left of it. Throws a UserError where settings do not fit together. */
  run(context: TaskContext): Promise<TaskResult>;
}

type TaskFields<N extends string, R extends readonly Configured[]> =
  | Field<N, "job">
  | FieldsOf<R[number]>
  | FieldsOf<(typeof EVERY_JOB)[number]>;

export function defineTask<const N extends string, const R extends readonly Configured[]>(
  definition: TaskDefinition<N, R>,
): Task<TaskFields<N, R>> {
  const { name, doc, free = [] } = definition;
  expectJobName(name);
  const jobField = { job: field("job", enumOf([name]), name, "what this file configures") };
  const schema = collect([{ config: jobField }, ...definition.uses, ...EVERY_JOB]);
  return { kind: "task", name, doc, schema, free, run: (context) => definition.run(context) };
}
