/** @file The job gpt/pretrain: a GPT learns text from scratch. */
import { collect } from "../config/collect.ts";
import { field } from "../config/field.ts";
import { enumOf } from "../config/schema.ts";
import { dataFields } from "../data/fields.ts";
import { Gpt } from "../models/gpt/gpt.ts";
import { optionsOf } from "../models/gpt/options.ts";
import { adamwFields, scheduleFields } from "../optim/fields.ts";
import { trainingFields, validationFields } from "../train/fields.ts";
import type { Job } from "../train/job.ts";

const NAME = "gpt/pretrain";

const jobField = { job: field("job", enumOf([NAME]), NAME, "what this file configures") };

export const gptPretrain: Job = {
  name: NAME,
  doc: "train a GPT from scratch on text",
  schema: collect([
    { config: jobField },
    Gpt,
    { config: dataFields },
    { config: trainingFields },
    { config: scheduleFields },
    { config: adamwFields },
    { config: validationFields },
  ]),
  model: (config) => new Gpt(optionsOf(config)),
};
