/** @file The families' own trainings from scratch; their checkpoints are Hugging Face folders. */
import { Gpt2 } from "../models/gpt2/gpt2.ts";
import { Llama } from "../models/llama/llama.ts";
import { Neox } from "../models/neox/neox.ts";
import { Qwen } from "../models/qwen/qwen.ts";
import { defineJob } from "./define_job.ts";

export const gpt2Pretrain = defineJob({
  name: "gpt2/pretrain",
  doc: "train a GPT-2 from scratch; its checkpoints are Hugging Face folders",
  uses: [Gpt2],
  model: (config) => Gpt2.from(config.values(Gpt2.config)),
});

export const llamaPretrain = defineJob({
  name: "llama/pretrain",
  doc: "train a Llama from scratch; its checkpoints are Hugging Face folders",
  uses: [Llama],
  model: (config) => Llama.from(config.values(Llama.config)),
});

export const qwenPretrain = defineJob({
  name: "qwen/pretrain",
  doc: "train a Qwen 2 or 3 from scratch; its checkpoints are Hugging Face folders",
  uses: [Qwen],
  model: (config) => Qwen.from(config.values(Qwen.config)),
});

export const neoxPretrain = defineJob({
  name: "neox/pretrain",
  doc: "train a GPT-NeoX (Pythia) from scratch; its checkpoints are Hugging Face folders",
  uses: [Neox],
  model: (config) => Neox.from(config.values(Neox.config)),
});
