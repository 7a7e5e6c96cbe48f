/** @file The settings of a GPT from a configuration: its own fields and those of the modules it is made of. */
import type { Config } from "../../config/config.ts";
import { Attention } from "../../nn/attention.ts";
import { Dropout } from "../../nn/dropout.ts";
import { Mlp } from "../../nn/mlp.ts";
import { Norm } from "../../nn/norm.ts";
import { Gpt, type GptOptions } from "./gpt.ts";

export const optionsOf = (config: Config): GptOptions => ({
  ...config.values(Gpt.config),
  ...config.values(Attention.config),
  ...config.values(Mlp.config),
  ...config.values(Norm.config),
  ...config.values(Dropout.config),
});
