/** @file How long a run that is submitted will take: by what was measured on that host, else by the chip's arithmetic; else nobody knows. */
import type { Config } from "../config/config.ts";
import type { Measured } from "../dispatch/measured.ts";
import { type LoadedJob, loadJob } from "../jobs/load_job.ts";
import { trainingFields } from "../train/fields.ts";
import { timeEstimate } from "../train/time_estimate.ts";
import { UserError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { countText } from "../util/quantities.ts";
import { durationText } from "./format.ts";

export interface TimeNeeded {
  readonly seconds: number;
  readonly basis: "this run" | "another run" | "plan";
  /** For a message: on what that is based. */
  readonly by: string;
}

interface Work {
  readonly steps: number;
  /** Null: it depends on what fits into the device. */
  readonly tokensPerStep: number | null;
  readonly flopsPerToken: number;
  readonly stopMinutes: number | null;
}

/** Null where the job is no training, or needs to be resolved before anything is known of it. */
function workOf({ job, config }: LoadedJob): Work | null {
  if (job.kind !== "training") return null;
  const { steps, stopTokens, stopMinutes, rows, accumulate, globalBatch } =
    config.values(trainingFields);
  try {
    const model = job.model(config);
    const samples = globalBatch ?? (rows === "auto" ? null : rows * accumulate);
    const tokensPerStep = samples === null ? null : samples * model.blockSize;
    const limit =
      stopTokens === null || tokensPerStep === null ? steps : Math.ceil(stopTokens / tokensPerStep);
    const flopsPerToken = model.flopsPerToken();
    return { steps: Math.min(steps, limit), tokensPerStep, flopsPerToken, stopMinutes };
  } catch (error) {
    if (error instanceof UserError) return null;
    throw error;
  }
}

/** Settings that are still open are those of any model. */
function sameModel({ job, config }: LoadedJob, text: string): boolean {
  const architectureOf = (of: Config) => of.toTree().architecture ?? {};
  try {
    const other = loadJob({ name: "config.resolved.yaml", text });
    const theirs = new Map(Object.entries(architectureOf(other.config)));
    return (
      other.job.name === job.name &&
      Object.entries(architectureOf(config)).every(
        ([key, value]) =>
          value === null || value === "auto" || Bun.deepEquals(theirs.get(key), value),
      )
    );
  } catch (error) {
    if (error instanceof UserError) return false;
    throw error;
  }
}

function byMeasure(stage: LoadedJob, work: Work, measured: readonly Measured[]): TimeNeeded | null {
  for (const { own, step, tokens, tokensPerSecond, config, directory } of measured) {
    if (!own && !sameModel(stage, config)) continue;
    const perStep = own ? tokens / step : work.tokensPerStep;
    if (perStep === null) continue;
    const left = Math.max(0, work.steps - (own ? step : 0));
    const which = own ? "this run's last attempt" : directory.split("/").slice(-3).join("/");
    return {
      seconds: (left * perStep) / tokensPerSecond,
      basis: own ? "this run" : "another run",
      by: `${countText(tokensPerSecond)} tokens/s, measured there in ${which}`,
    };
  }
  return null;
}

function byPlan(
  { config }: LoadedJob,
  work: Work,
  chip: string | null,
  chips: number,
): TimeNeeded | null {
  if (work.tokensPerStep === null) return null;
  const flops = work.steps * work.tokensPerStep * work.flopsPerToken;
  const estimate = timeEstimate(config, flops, chip, chips);
  if (estimate === null) return null;
  const { seconds, utilisation, peak_flops: peak } = estimate;
  const by = `as theseus plan has it: ${utilisation * 100}% of the ${countText(peak)}FLOP/s of ${chip}, not measured`;
  return { seconds, basis: "plan", by };
}

/** Says it when the run needs more than is asked for at a time; jobs go on by themselves, but whoever waits should know. */
export function warnOfTime(name: string, needed: TimeNeeded | null, askedSeconds: number): void {
  if (needed === null || needed.seconds <= askedSeconds) return;
  const times = Math.ceil(needed.seconds / askedSeconds);
  log.warn(
    `${name} needs about ${durationText(needed.seconds)} (${needed.by}), ${durationText(askedSeconds)} are asked for: ` +
      `it will save and go on by itself, in about ${times} attempts`,
  );
}

/** Null: there is nothing to base it on. */
export function timeNeeded(
  stage: LoadedJob,
  measured: readonly Measured[],
  chip: string | null,
  chips: number,
): TimeNeeded | null {
  const work = workOf(stage);
  if (work === null) return null;
  const needed = byMeasure(stage, work, measured) ?? byPlan(stage, work, chip, chips);
  if (needed === null || work.stopMinutes === null) return needed;
  return { ...needed, seconds: Math.min(needed.seconds, work.stopMinutes * 60) };
}
