/** @file Configuration of an evaluation; the same for the job eval/run and beside a training. */
import { field } from "../config/field.ts";
import { int, interval, list, matching, nullable, string } from "../config/schema.ts";
import { DEVICE_FORM } from "../runtime/device_form.ts";

export const taskFields = {
  tasks: field(
    "evaluation/tasks",
    list(string()),
    [],
    "tasks by name (`theseus tasks`), or files: lm-evaluation-harness's YAML as it stands",
  ),
  limit: field(
    "evaluation/limit",
    nullable(int({ min: 1 })),
    null,
    "only the first so many items of each task; null: all",
  ),
  shots: field(
    "evaluation/shots",
    nullable(int({ min: 0 })),
    null,
    "worked examples before each item; null: as many as the task says",
  ),
  seed: field("evaluation/seed", int({ min: 0 }), 1234, "seed of the draw of examples"),
};

export const besideTrainingFields = {
  interval: field(
    "evaluation/interval",
    interval(),
    0,
    "time between evaluations of evaluation.tasks; 0: only at the end",
  ),
};

export const judgedFields = {
  model: field(
    "evaluation/model",
    string(),
    undefined,
    "what is judged: RUN, RUN@best, RUN@step-000123, a Hugging Face folder or hf:org/name",
  ),
  device: field(
    "evaluation/device",
    matching(DEVICE_FORM, "auto, cpu, cuda or cuda:N"),
    "auto",
    "cpu, cuda or cuda:1 (of those that CUDA_VISIBLE_DEVICES leaves); auto: a fit GPU, else the CPU",
  ),
};
