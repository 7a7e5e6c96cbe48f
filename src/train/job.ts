/** @file A training job: what can be configured and trained under one name. The registry of jobs knows the models; training does not. */
import type { ConfigSchema } from "../config/collect.ts";
import type { Config } from "../config/config.ts";
import type { Field } from "../config/field.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import type { LanguageModel } from "../nn/language_model.ts";
import type { Engine } from "./engine.ts";

/** Continues a text with the weights that an engine holds; the engine has the program `logits`. */
export type Continue = (
  engine: Engine,
  tokenizer: Tokenizer,
  prompt: string,
  options: {
    readonly maxTokens: number;
    readonly blockSize: number;
    readonly temperature: number;
    readonly topK: number;
    readonly seed: number;
    readonly signal?: AbortSignal;
  },
) => Promise<string>;

export interface Judging {
  readonly engine: Engine;
  readonly model: LanguageModel;
  readonly tokenizer: Tokenizer;
  readonly config: Config;
  readonly step: number;
  /** The run directory. */
  readonly directory: string;
  readonly signal?: AbortSignal;
}

/** Judges the weights that an engine holds on the tasks of the configuration; numbers by `task/metric,filter`. */
export type Judge = (judging: Judging) => Promise<Readonly<Record<string, number>>>;

/** `F`: the fields of its schema, from which the Quick API takes the type of `run.config`. */
export interface Job<F extends Field<unknown> = Field<unknown>> {
  readonly kind: "training";
  readonly name: string;
  readonly doc: string;
  readonly schema: ConfigSchema<F>;
  /** Declares the model; throws a UserError that names the module when settings do not fit together. */
  model(config: Config): LanguageModel;
  /** Settles what others' files decide. `root`: where runs are kept; `before`: the configuration of the run that goes on. */
  readonly resolve?: (config: Config, root: string, before: Config | null) => Promise<Config>;
  /** The weights that a run begins with when nobody names others: a file or a folder. */
  readonly beginning?: (config: Config, root: string) => Promise<string>;
  /** Writes the samples of `sampling.interval`. */
  readonly continueText: Continue;
  /** The evaluations of `evaluation.interval`: when they are due is up to the trainer. */
  readonly evaluation: {
    readonly judge: Judge;
    /** Null: the configuration names no tasks. */
    interval(config: Config): number | string | null;
    /** Names that do not exist and files that cannot be read are said before the first step. */
    check(config: Config): Promise<void>;
  };
}
