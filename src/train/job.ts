/** @file A job: what can be configured and trained under one name. The registry of jobs knows the models; training does not. */
import type { ConfigSchema } from "../config/collect.ts";
import type { Config } from "../config/config.ts";
import type { Field } from "../config/field.ts";
import type { LanguageModel } from "../nn/language_model.ts";

/** `F`: the fields of its schema, from which the Quick API takes the type of `run.config`. */
export interface Job<F extends Field<unknown> = Field<unknown>> {
  readonly name: string;
  readonly doc: string;
  readonly schema: ConfigSchema<F>;
  /** Declares the model; throws a UserError that names the module when settings do not fit together. */
  model(config: Config): LanguageModel;
}
