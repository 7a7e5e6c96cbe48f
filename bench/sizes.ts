/** @file The sizes of bench/peer_torch.py as configurations: [layers, heads, width, context, batch, vocabulary]. */
import type { Config } from "../src/config/config.ts";
import { loadTraining } from "../src/jobs/load_job.ts";

export const SIZES = {
  baby: [4, 4, 128, 64, 12, 96],
  small: [6, 6, 384, 256, 8, 96],
  gpt2: [12, 12, 768, 64, 4, 50304],
} as const;
export type SizeName = keyof typeof SIZES;

export interface SizeOptions {
  readonly size: SizeName;
  readonly precision: "f32" | "mixed";
  readonly batch?: number;
  readonly seq?: number;
  readonly threads?: number;
}

/** A GPT-2 shape: learned positions, layer norm, biases, tied embeddings, no dropout. */
export function sizeConfig(
  options: SizeOptions,
): ReturnType<typeof loadTraining> & { config: Config } {
  const [layers, heads, width, context, batch, vocabulary] = SIZES[options.size];
  const overrides = [
    `architecture.n_layer=${layers}`,
    `architecture.n_head=${heads}`,
    `architecture.n_embd=${width}`,
    `architecture.block_size=${options.seq ?? context}`,
    `architecture.vocab_size=${vocabulary}`,
    "architecture.positions=learned",
    "architecture.norm=layer",
    "architecture.bias=true",
    `training.per_device_batch_size=${options.batch ?? batch}`,
    `training.precision=${options.precision}`,
    `training.threads=${options.threads ?? "null"}`,
  ];
  return loadTraining({ name: `bench ${options.size}`, text: "job: gpt/pretrain\n" }, overrides);
}
