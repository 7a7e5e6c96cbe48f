/** @file Configuration of the optimizer and its schedule. */
import { field } from "../config/field.ts";
import { enumOf, float, int, list, nullable } from "../config/schema.ts";

export const scheduleFields = {
  learningRate: field("training/learning_rate", float({ above: 0 }), 1e-3, "peak learning rate"),
  schedule: field(
    "training/schedule",
    enumOf(["wsd", "cosine", "constant"]),
    "wsd",
    "course of the learning rate after warm-up: stable then linear decay, half a cosine, or level",
  ),
  warmupSteps: field("training/warmup_steps", int({ min: 0 }), 100, "steps of linear warm-up"),
  decayFraction: field(
    "training/decay_fraction",
    float({ min: 0, max: 1 }),
    0.2,
    "wsd: share of all steps, at the end, over which the rate decays",
  ),
  finalFraction: field(
    "training/final_learning_rate_fraction",
    float({ min: 0, max: 1 }),
    0.1,
    "rate at the end / peak rate, for wsd and cosine",
  ),
};

export const adamwFields = {
  betas: field(
    "training/betas",
    list(float({ min: 0, below: 1 }), 2),
    [0.9, 0.95],
    "AdamW's decay rates",
  ),
  eps: field("training/eps", float({ above: 0 }), 1e-8, "AdamW's epsilon"),
  weightDecay: field(
    "training/weight_decay",
    float({ min: 0 }),
    0.1,
    "decoupled decay of matrices; vectors are exempt",
  ),
  gradClip: field(
    "training/grad_clip",
    nullable(float({ above: 0 })),
    1,
    "bound of the gradient's global norm",
  ),
};
