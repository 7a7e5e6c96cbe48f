/** @file A job from its model: what every training job can configure is added here, once. */
import { type Configured, collect, type FieldsOf, withDefaults } from "../config/collect.ts";
import type { Config } from "../config/config.ts";
import { type Field, field } from "../config/field.ts";
import { enumOf } from "../config/schema.ts";
import { dataFields } from "../data/fields.ts";
import { besideTrainingFields, taskFields } from "../evaluate/fields.ts";
import { sample } from "../generate/sample.ts";
import type { LanguageModel } from "../nn/language_model.ts";
import { adamwFields, scheduleFields } from "../optim/fields.ts";
import {
  checkpointFields,
  loggingFields,
  samplingFields,
  trainingFields,
  validationFields,
} from "../train/fields.ts";
import type { Job } from "../train/job.ts";
import { evaluation } from "./evaluate_beside.ts";
import { EVERY_JOB, expectJobName } from "./every_job.ts";

const TRAINING = [
  { config: dataFields },
  { config: trainingFields },
  { config: scheduleFields },
  { config: adamwFields },
  { config: validationFields },
  { config: checkpointFields },
  { config: samplingFields },
  { config: loggingFields },
  { config: taskFields },
  { config: besideTrainingFields },
  ...EVERY_JOB,
] as const;

export interface JobDefinition<N extends string, R extends readonly Configured[]> {
  /** `family/purpose`, as it stands in `job:` of a configuration. */
  readonly name: N;
  readonly doc: string;
  /** The module classes whose fields can be configured, with all that these use. */
  readonly uses: R;
  /** Other defaults than the fields' own, by path. */
  readonly defaults?: Readonly<Record<string, unknown>>;
  /** Declares the model; throws a UserError where settings do not fit together. */
  model(config: Config): LanguageModel;
  /** As in `Job`. */
  readonly resolve?: Job["resolve"];
  readonly beginning?: Job["beginning"];
}

type JobFields<N extends string, R extends readonly Configured[]> =
  | Field<N, "job">
  | FieldsOf<R[number]>
  | FieldsOf<(typeof TRAINING)[number]>;

export function defineJob<const N extends string, const R extends readonly Configured[]>(
  definition: JobDefinition<N, R>,
): Job<JobFields<N, R>> {
  const { name, doc } = definition;
  expectJobName(name);
  const jobField = { job: field("job", enumOf([name]), name, "what this file configures") };
  const schema = withDefaults(
    collect([{ config: jobField }, ...definition.uses, ...TRAINING]),
    definition.defaults ?? {},
  );
  const model = (config: Config): LanguageModel => definition.model(config);
  const { resolve, beginning } = definition;
  return {
    ...{ kind: "training", name, doc, schema, continueText: sample, evaluation, model },
    ...(resolve === undefined ? {} : { resolve }),
    ...(beginning === undefined ? {} : { beginning }),
  };
}
