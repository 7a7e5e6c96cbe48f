/**
 * @file A task: a job that is no training (tokenizing, evaluating ...). It has a configuration, a run directory, status files, a lock
 * and Ctrl-C like one. `run` is called again after an interruption, and also when all is done: it finds out what is left to do.
 */
import type { ConfigSchema } from "../config/collect.ts";
import type { Config } from "../config/config.ts";
import type { Field } from "../config/field.ts";
import type { Job } from "./job.ts";
import type { RunPlace } from "./run_directory.ts";

export interface TaskProgress {
  /** 0 to 1, as far as that is known. */
  readonly fraction: number | null;
  /** One line for people. */
  readonly text: string;
  /** The same for programs: `--json` prints it. */
  readonly values: Readonly<Record<string, unknown>>;
}

export interface TaskContext {
  readonly config: Config;
  readonly place: RunPlace;
  /** The run directory: locked, with the configuration in it. */
  readonly directory: string;
  /** How often this run was started, this time included. */
  readonly attempt: number;
  /** Aborted when the user or the cluster wants the run to end; what is done then is kept. */
  readonly signal: AbortSignal;
  /** Appends to events.jsonl. */
  event(event: Readonly<Record<string, unknown>>): void;
  progress(progress: TaskProgress): void;
}

export interface TaskResult {
  readonly state: "finished" | "interrupted";
  /** One line for people: what came of it. */
  readonly text: string;
  /** The same for programs; also kept in events.jsonl. */
  readonly values: Readonly<Record<string, unknown>>;
}

export interface Task<F extends Field<unknown> = Field<unknown>> {
  readonly kind: "task";
  readonly name: string;
  readonly doc: string;
  readonly schema: ConfigSchema<F>;
  /** Settings (slash paths) that may differ when a run goes on, because they change nothing of its result. */
  readonly free: readonly string[];
  run(context: TaskContext): Promise<TaskResult>;
}

/** Whatever `theseus run` runs. */
export type AnyJob = Job | Task;
