/** @file Small GPTs for tests, and values for the inputs of their programs. */
import type { Config } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/load.ts";
import { gptPretrain } from "../../src/jobs/gpt_pretrain.ts";
import { Gpt } from "../../src/models/gpt/gpt.ts";
import { optionsOf } from "../../src/models/gpt/options.ts";

const TINY = [
  "architecture.n_layer=2",
  "architecture.n_embd=16",
  "architecture.n_head=2",
  "architecture.block_size=8",
  "architecture.vocab_size=11",
];

/** Rotary, RMSNorm, gated, grouped heads, no biases, untied. */
export const LLAMA_STYLE = [
  "architecture.n_head=4",
  "architecture.n_kv_head=2",
  "architecture.positions=rotary",
  "architecture.norm=rms",
  "architecture.glu=true",
  "architecture.activation=silu",
  "architecture.bias=false",
  "architecture.tie_embeddings=false",
];

export const tinyConfig = (...overrides: string[]): Config =>
  loadConfig({ schema: gptPretrain.schema, overrides: [...TINY, ...overrides] });

export const tinyGpt = (...overrides: string[]): Gpt =>
  new Gpt(optionsOf(tinyConfig(...overrides)));
