/**
 * @file What may differ between a run's own configuration and the one it is resumed with: freely, what moves no number of the
 * training; with --allow-change, what changes its course; never, what makes it another run.
 */
import type { Config } from "../config/config.ts";
import { UserError } from "../util/errors.ts";
import { batchOf } from "./batch_size.ts";

export type Change = "free" | "allowed" | "never";

const FREE = [
  ...[/^validation\//, /^checkpoint\//, /^logging\//, /^sampling\//, /^request\//, /^evaluation\//],
  /^training\/(device|cuda_libraries)$/,
  // The stop limits end a run earlier; the schedule is laid over `steps` alone, which is therefore no such limit.
  /^training\/(threads|stop_tokens|stop_epochs|stop_minutes|preemption_signal)$/,
  /^training\/(skip_nonfinite|spike_factor)$/,
];
/** What lies there is known by its content (data_record.ts), wherever it was moved. */
const PLACES = [/^data\/(text|tokens|tokenizer|verify)$/];
const ALLOWED = [
  /^training\/(learning_rate|schedule|warmup_steps|decay_fraction|final_learning_rate_fraction)$/,
  /^training\/(steps|betas|eps|weight_decay|grad_clip)$/,
  /^data\//,
];
const NEVER = [/^training\/(seed|precision)$/, /^job$/];
/** Free as long as their product, the global batch, stays. */
const BATCH = [
  "training/per_device_batch_size",
  "training/accumulate",
  "training/global_batch_size",
] as const;

const matches = (patterns: readonly RegExp[], path: string): boolean =>
  patterns.some((pattern) => pattern.test(path));

export function changeOf(path: string): Change {
  if (matches(NEVER, path)) return "never";
  if (matches(FREE, path) || matches(PLACES, path)) return "free";
  return matches(ALLOWED, path) ? "allowed" : "never";
}

export interface Difference {
  readonly path: string;
  readonly before: unknown;
  readonly now: unknown;
  readonly change: Change;
}

function globalBatch(config: Config): number {
  const { rows, accumulate } = batchOf(config);
  return rows * accumulate;
}

/** Fields whose values differ, in the order of the schema. */
export function differences(before: Config, now: Config): Difference[] {
  const sameBatch = globalBatch(before) === globalBatch(now);
  const out: Difference[] = [];
  for (const path of now.schema.fields.keys()) {
    const [was, is] = [before.at(path), now.at(path)];
    if (JSON.stringify(was) === JSON.stringify(is)) continue;
    const batch = BATCH.some((each) => each === path);
    const change = batch ? (sameBatch ? "free" : "never") : changeOf(path);
    out.push({ path, before: was, now: is, change });
  }
  return out;
}

const line = ({ path, before, now }: Difference): string =>
  `  ${path.replaceAll("/", ".")}: ${JSON.stringify(before)} -> ${JSON.stringify(now)}`;

/** Throws `conflict`, showing every difference that forbids to resume. Returns what did change. */
export function checkResume(before: Config, now: Config, allowChange: boolean): Difference[] {
  const all = differences(before, now);
  const never = all.filter(({ change }) => change === "never");
  if (never.length > 0)
    throw new UserError(
      `this run cannot go on with another configuration:\n${never.map(line).join("\n")}`,
      { code: "conflict", hint: "choose another name, or --fresh to move the old run aside" },
    );
  const course = all.filter(({ change }) => change === "allowed");
  if (course.length > 0 && !allowChange)
    throw new UserError(
      `these settings change the course of the run:\n${course.map(line).join("\n")}`,
      { code: "conflict", hint: "--allow-change goes on with them and records the change" },
    );
  return all;
}
