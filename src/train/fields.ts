/** @file Configuration of a training run. */
import { field } from "../config/field.ts";
import { enumOf, int, list, nullable, string } from "../config/schema.ts";

export const trainingFields = {
  steps: field("training/steps", int({ min: 1 }), 2000, "optimizer steps"),
  rows: field(
    "training/per_device_batch_size",
    int({ min: 1 }),
    16,
    "samples a device takes at once",
  ),
  accumulate: field(
    "training/accumulate",
    int({ min: 1 }),
    1,
    "micro-batches whose gradients make one step",
  ),
  precision: field(
    "training/precision",
    enumOf(["auto", "f32", "mixed"]),
    "auto",
    "f32, or bf16 operands in matrix products; auto: mixed where the device is fast at it",
  ),
  seed: field(
    "training/seed",
    int({ min: 0, max: 2 ** 32 - 1 }),
    1,
    "of initial values, order of samples and dropout",
  ),
  threads: field(
    "training/threads",
    nullable(int({ min: 1 })),
    null,
    "threads of the CPU device; null: one a core. Results do not depend on it",
  ),
};

export const validationFields = {
  interval: field(
    "validation/interval",
    int({ min: 0 }),
    250,
    "steps between validations; 0: only at the end",
  ),
  batches: field(
    "validation/batches",
    int({ min: 0 }),
    0,
    "batches of a validation, spread over the held-out text; 0: all",
  ),
};

export const checkpointFields = {
  interval: field(
    "checkpoint/interval",
    int({ min: 0 }),
    500,
    "steps between checkpoints; 0: only at the end",
  ),
  keep: field("checkpoint/keep", int({ min: 2 }), 2, "newest checkpoints that are kept"),
  permanentEvery: field(
    "checkpoint/permanent_every",
    int({ min: 0 }),
    0,
    "steps between checkpoints that are kept for good; 0: none",
  ),
};

export const loggingFields = {
  trackers: field(
    "logging/trackers",
    list(string()),
    ["tensorboard"],
    "where metrics go besides metrics.jsonl; --load can bring more",
  ),
};
