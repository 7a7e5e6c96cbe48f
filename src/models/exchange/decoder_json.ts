/** @file What the families' config.json files have in common. */
import { type Init, init } from "../../nn/init.ts";
import type { ConfigJson } from "./config_json.ts";

/** Hugging Face's names of activations that are built here. "gelu_fast" and the others differ from each of these. */
export const ACTIVATIONS = {
  gelu: "gelu_erf",
  gelu_new: "gelu_tanh",
  gelu_pytorch_tanh: "gelu_tanh",
  silu: "silu",
  swish: "silu",
} as const;

export interface Inits {
  readonly init: Init;
  readonly residualInit: Init;
}

/** The residual stream sums 2 n_layer projections: a smaller deviation keeps its variance at the start (GPT-2). */
export function initsOf(json: ConfigJson, nLayer: number): Inits {
  const std = json.positive("initializer_range", 0.02);
  return { init: init.normal(std), residualInit: init.normal(std / Math.sqrt(2 * nLayer)) };
}
