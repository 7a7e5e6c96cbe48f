/** @file A job: what can be configured and trained under one name. The registry of jobs knows the models; training does not. */
import type { ConfigSchema } from "../config/collect.ts";
import type { Config } from "../config/config.ts";
import type { LanguageModel } from "../nn/language_model.ts";

export interface Job {
  readonly name: string;
  readonly doc: string;
  readonly schema: ConfigSchema;
  /** Declares the model; throws a UserError that names the module when settings do not fit together. */
  model(config: Config): LanguageModel;
}
