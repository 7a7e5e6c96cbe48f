/** @file The sizes of bench/peer_torch.py as configurations: [layers, heads, width, context, batch, vocabulary]. */
import type { Config } from "../src/config/config.ts";
import { loadTraining } from "../src/jobs/load_job.ts";

export const SIZES = {
  baby: [4, 4, 128, 64, 12, 96],
  small: [6, 6, 384, 256, 8, 96],
  gpt2: [12, 12, 768, 64, 4, 50304],
  "gpt2-gpu": [12, 12, 768, 1024, 64, 50304],
  "gpt2-xl-gpu": [48, 25, 1600, 1024, 8, 50304],
  "qwen2.5-1.5b-gpu": [28, 12, 1536, 1024, 8, 151936],
  // For trying the benches themselves, on the virtual GPU above all.
  "tiny-gpu": [2, 2, 64, 32, 2, 96],
  "tiny-qwen-gpu": [2, 4, 64, 32, 2, 96],
} as const;
export type SizeName = keyof typeof SIZES;

/** Those that are a Qwen 2: heads of keys and values, and width of the MLP. */
const QWENS: Partial<Record<SizeName, readonly [number, number]>> = {
  "qwen2.5-1.5b-gpu": [2, 8960],
  "tiny-qwen-gpu": [2, 160],
};

export interface SizeOptions {
  readonly size: SizeName;
  readonly precision: "f32" | "mixed" | "bf16";
  readonly batch?: number;
  readonly seq?: number;
  readonly threads?: number;
}

/** Learned positions, layer norm, biases, tied embeddings, no dropout. */
const GPT2 = ["positions=learned", "norm=layer", "bias=true"];

export function isSize(name: string): name is SizeName {
  return name in SIZES;
}

/** A GPT-2 shape, or a Qwen 2. */
export function sizeConfig(
  options: SizeOptions,
): ReturnType<typeof loadTraining> & { config: Config } {
  const { size } = options;
  const [layers, heads, width, context, batch, vocabulary] = SIZES[size];
  const qwen = QWENS[size];
  const family =
    qwen === undefined
      ? GPT2
      : ["generation=qwen2", `n_kv_head=${qwen[0]}`, `ff_width=${qwen[1]}`, "tie_embeddings=true"];
  const shape = [
    ...[`n_layer=${layers}`, `n_head=${heads}`, `n_embd=${width}`],
    ...[`block_size=${options.seq ?? context}`, `vocab_size=${vocabulary}`, ...family],
  ];
  const overrides = [
    ...shape.map((setting) => `architecture.${setting}`),
    `training.per_device_batch_size=${options.batch ?? batch}`,
    `training.precision=${options.precision}`,
    `training.threads=${options.threads ?? "null"}`,
  ];
  const job = qwen === undefined ? "gpt/pretrain" : "qwen/pretrain";
  return loadTraining({ name: `bench ${size}`, text: `job: ${job}\n` }, overrides);
}
