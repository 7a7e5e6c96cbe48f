/** @file Configuration of a training run. */
import { field } from "../config/field.ts";
import {
  enumOf,
  float,
  int,
  interval,
  list,
  matching,
  nullable,
  orWord,
  string,
} from "../config/schema.ts";
import { DEVICE_FORM } from "../runtime/device_form.ts";

export const trainingFields = {
  steps: field(
    "training/steps",
    int({ min: 1 }),
    2000,
    "optimizer steps, over which the learning rate's schedule is laid",
  ),
  stopTokens: field(
    "training/stop_tokens",
    nullable(int({ min: 1 })),
    null,
    "ends the run earlier, after so many tokens; the schedule stays",
  ),
  stopEpochs: field(
    "training/stop_epochs",
    nullable(float({ above: 0 })),
    null,
    "ends the run earlier, after so many passes over the data; the schedule stays",
  ),
  stopMinutes: field(
    "training/stop_minutes",
    nullable(float({ above: 0 })),
    null,
    "ends the run earlier, after so much time over all attempts; the schedule stays",
  ),
  rows: field(
    "training/per_device_batch_size",
    orWord(int({ min: 1 }), "auto"),
    16,
    "samples a device takes at once; auto: the most that fit into memory",
  ),
  globalBatch: field(
    "training/global_batch_size",
    nullable(int({ min: 1 })),
    null,
    "samples a step; sets accumulate. null: per_device_batch_size * accumulate",
  ),
  accumulate: field(
    "training/accumulate",
    int({ min: 1 }),
    1,
    "micro-batches whose gradients make one step",
  ),
  precision: field(
    "training/precision",
    enumOf(["auto", "f32", "mixed", "bf16"]),
    "auto",
    "f32; mixed: products read bf16; bf16 (GPU): activations are bf16 too; auto: mixed where that is fast",
  ),
  seed: field(
    "training/seed",
    int({ min: 0, max: 2 ** 32 - 1 }),
    1,
    "of initial values, order of samples and dropout",
  ),
  device: field(
    "training/device",
    matching(DEVICE_FORM, "auto, cpu, cuda or cuda:N"),
    "auto",
    "cpu, cuda or cuda:1 (of those that CUDA_VISIBLE_DEVICES leaves); auto: a fit GPU, else the CPU",
  ),
  cudaLibraries: field(
    "training/cuda_libraries",
    list(string()),
    [],
    "folders in which CUDA's libraries (cuBLASLt, a driver) are looked for before all others",
  ),
  threads: field(
    "training/threads",
    nullable(int({ min: 1 })),
    null,
    "threads of the CPU device; null: one a core. Results do not depend on it",
  ),
  skipNonfinite: field(
    "training/skip_nonfinite",
    int({ min: 0 }),
    0,
    "steps of a run that may be left out because loss or gradient are not finite, or a spike",
  ),
  spikeFactor: field(
    "training/spike_factor",
    nullable(float({ min: 2 })),
    null,
    "a gradient norm over so many times the median of 32 steps before counts as not finite",
  ),
  preemptionSignal: field(
    "training/preemption_signal",
    enumOf(["SIGUSR1", "SIGUSR2", "SIGHUP", "none"]),
    "SIGUSR2",
    "saves and ends the run with exit code 75, as SIGTERM does",
  ),
};

export const validationFields = {
  interval: field(
    "validation/interval",
    interval(),
    250,
    "time between validations; 0: only at the end",
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
    interval(),
    500,
    "time between checkpoints; 0: only at the end",
  ),
  keep: field("checkpoint/keep", int({ min: 2 }), 2, "newest checkpoints that are kept"),
  permanentEvery: field(
    "checkpoint/permanent_every",
    int({ min: 0 }),
    0,
    "steps between checkpoints that are kept for good; 0: none",
  ),
  afterSave: field(
    "checkpoint/after_save",
    list(string()),
    [],
    "what is done with every checkpoint: export keeps its weights; --load can bring more",
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

export const samplingFields = {
  interval: field("sampling/interval", interval(), 0, "time between samples; 0: never"),
  prompt: field("sampling/prompt", string(), "\n", "the text that samples continue"),
  tokens: field("sampling/tokens", int({ min: 1 }), 100, "length of a sample"),
};
