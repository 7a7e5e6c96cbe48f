/**
 * @file Where a run's metrics go besides metrics.jsonl. Trackers have names; users' code adds its own with `tracker(...)`. One that
 * fails is dropped with a warning: it never ends training.
 */
import { join } from "node:path";
import { log } from "../util/log.ts";
import { Registry } from "../util/registry.ts";
import type { StepMetrics } from "./metrics.ts";
import { TensorboardWriter } from "./tensorboard.ts";

export interface Tracker {
  log(metrics: StepMetrics): void;
  /** The run has ended, however it did. */
  finish(): void;
}

/** What a tracker may know of the run when it is opened. */
export interface TrackedRun {
  readonly directory: string;
  readonly runId: string;
  /** Counts from 1. */
  readonly attempt: number;
  /** The next object that is logged has this step; an earlier attempt may have logged it, and later ones, already. */
  readonly firstStep: number;
}

export interface TrackerKind {
  readonly name: string;
  readonly doc: string;
  open(run: TrackedRun): Tracker;
}

/** Numbers of a step that make a curve. */
const CURVES = [
  ...["loss", "learning_rate", "grad_norm", "tokens_per_s", "mfu"],
  ...["val_loss", "val_bits_per_byte"],
] as const satisfies readonly (keyof StepMetrics)[];

const tensorboard: TrackerKind = {
  name: "tensorboard",
  doc: "event files for TensorBoard in the run's folder tensorboard",
  open({ directory, attempt, firstStep }) {
    // What an attempt left behind that ended before its first checkpoint is hidden too.
    const writer = new TensorboardWriter(
      join(directory, "tensorboard"),
      attempt > 1 ? firstStep : 0,
    );
    return {
      log(metrics) {
        const numbers = CURVES.flatMap((name): [string, number][] => {
          const value = metrics[name];
          return typeof value === "number" ? [[name, value]] : [];
        });
        writer.scalars(metrics.step, Object.fromEntries(numbers));
      },
      finish() {},
    };
  },
};

export const TRACKERS = new Registry<TrackerKind>("tracker", [tensorboard]);

/** Registers a tracker: a configuration may then name it in `logging.trackers`. */
export function tracker(kind: TrackerKind): TrackerKind {
  TRACKERS.register(kind);
  return kind;
}

/** All trackers of one run. */
export class Trackers {
  private readonly open = new Map<string, Tracker>();
  private readonly onEvent: (event: Readonly<Record<string, unknown>>) => void;

  /** Names must be known: `TRACKERS.named` refuses others before a run begins. */
  constructor(
    names: readonly string[],
    run: TrackedRun,
    onEvent: (event: Readonly<Record<string, unknown>>) => void,
  ) {
    this.onEvent = onEvent;
    for (const name of new Set(names))
      this.guarded(name, () => this.open.set(name, TRACKERS.named(name).open(run)));
  }

  log(metrics: StepMetrics): void {
    for (const [name, each] of this.open) this.guarded(name, () => each.log(metrics));
  }

  finish(): void {
    for (const [name, each] of this.open) this.guarded(name, () => each.finish());
    this.open.clear();
  }

  private guarded(name: string, body: () => void): void {
    try {
      body();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.open.delete(name);
      log.warn(`the tracker ${name} failed and is left out from here on: ${message}`);
      this.onEvent({ event: "tracker_failed", tracker: name, message });
    }
  }
}
