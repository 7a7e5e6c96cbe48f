/** @file The job gpt/pretrain: a GPT learns text from scratch. */
import { Gpt } from "../models/gpt/gpt.ts";
import { optionsOf } from "../models/gpt/options.ts";
import { defineJob } from "./define_job.ts";

export const gptPretrain = defineJob({
  name: "gpt/pretrain",
  doc: "train a GPT from scratch on text",
  uses: [Gpt],
  model: (config) => new Gpt(optionsOf(config)),
});
