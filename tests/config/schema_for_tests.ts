/** @file A small schema that the configuration tests share. */
import { collect } from "../../src/config/collect.ts";
import { field } from "../../src/config/field.ts";
import { bool, enumOf, float, int, list, nullable, string } from "../../src/config/schema.ts";

const architecture = {
  nLayer: field("architecture/n_layer", int({ min: 1 }), 6, "transformer blocks"),
  nHead: field("architecture/n_head", int({ min: 1 }), 6, "attention heads"),
  bias: field("architecture/bias", bool(), true, "biases in linear layers and norms"),
};

const training = {
  steps: field("training/steps", int({ min: 1 }), undefined, "optimizer steps"),
  batch: field("training/per_device_batch_size", int({ min: 1 }), 8, "samples a device"),
  rate: field("training/learning_rate", float({ above: 0 }), 3e-4, "peak learning rate"),
  betas: field(
    "training/betas",
    list(float({ min: 0, below: 1 }), 2),
    [0.9, 0.95],
    "decay rates of AdamW's averages of the gradient and of its square, in this order",
  ),
  schedule: field("training/schedule", enumOf(["wsd", "cosine"]), "wsd", "learning-rate schedule"),
  clip: field("training/clip", nullable(float({ above: 0 })), 1, "global norm bound"),
  text: field("data/text", string(), "sotu", "what to train on"),
};

export const testFields = { ...architecture, ...training };
export const testSchema = collect([{ config: architecture }, { config: training }]);
