/** @file Tasks of every shape, a tiny model, and what lm-evaluation-harness said about them (scripts/fixtures/evaluation.py). */
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { readTask } from "../../src/evaluate/read_task.ts";
import type { EvaluationTask } from "../../src/evaluate/task.ts";

export const FIXTURE = join(import.meta.dir, "../fixtures/evaluation");

export interface ExpectedSample {
  readonly doc_id: number;
  readonly filter: string;
  readonly arguments: readonly (readonly string[])[];
  /** Of likelihoods: pairs, or the sum alone; of answers: text. */
  readonly filtered_resps: readonly (string | number | readonly [number, boolean])[];
}

export const expected = JSON.parse(readFileSync(join(FIXTURE, "expected.json"), "utf8")) as {
  readonly results: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly samples: Readonly<Record<string, readonly ExpectedSample[]>>;
};

export const TASK_NAMES = readdirSync(join(FIXTURE, "tasks")).map((name) =>
  basename(name, ".yaml"),
);

export const fixtureTask = (name: string): EvaluationTask =>
  readTask(join(FIXTURE, "tasks", `${name}.yaml`));
