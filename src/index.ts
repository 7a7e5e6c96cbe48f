/**
 * @file The package's public door: `import { quick, job, Module } from "theseus"`. What is exported here is what scripts and
 * users' models may build on; everything else may change.
 */
export type { Config } from "./config/config.ts";
export { type Field, type Fields, field, type Values } from "./config/field.ts";
export { bool, enumOf, float, int, list, nullable, string } from "./config/schema.ts";
export type { DatasetDefinition } from "./data/datasets/dataset.ts";
export { dataset } from "./data/datasets/registry.ts";
export { evaluation } from "./evaluate/builtin_tasks.ts";
export type { TaskRecord } from "./evaluate/task_record.ts";
export type { JobDefinition } from "./jobs/define_job.ts";
export type { TaskDefinition } from "./jobs/define_task.ts";
export { type ConfigOf, job, type KnownJobs, task } from "./jobs/registry.ts";
export { Block, type BlockOptions, type BlockParts, type Mixer } from "./models/decoder/block.ts";
export { Decoder, type DecoderOptions } from "./models/decoder/decoder.ts";
export { Gpt, type GptOptions } from "./models/gpt/gpt.ts";
export { optionsOf as gptOptions } from "./models/gpt/options.ts";
export { Attention, type AttentionOptions } from "./nn/attention.ts";
export { type Axis, axis } from "./nn/axis.ts";
export { Dropout, type DropoutOptions } from "./nn/dropout.ts";
export { Embedding } from "./nn/embedding.ts";
export { type Init, init } from "./nn/init.ts";
export type { LanguageModel } from "./nn/language_model.ts";
export { Linear, type LinearOptions, type MatrixOrder } from "./nn/linear.ts";
export { Mlp, type MlpOptions } from "./nn/mlp.ts";
export { Module } from "./nn/module.ts";
export { Norm, type NormOptions } from "./nn/norm.ts";
export { Param } from "./nn/param.ts";
export { positionsOf } from "./nn/positions.ts";
export type { RotaryOptions, RotaryScaling } from "./nn/rotary.ts";
export { type Sequence, wholeRows } from "./nn/sequence.ts";
export type { Rules } from "./nn/sharding.ts";
export { type Operand, Tensor } from "./nn/tensor.ts";
export { type TokenLoss, tokenLoss } from "./nn/token_loss.ts";
export type { Precision, Trace } from "./nn/trace.ts";
export * as ops from "./ops/index.ts";
export type { Hardware } from "./quick/save.ts";
export {
  type AnyConfigTree,
  type QuickOptions,
  QuickRun,
  type QuickSampleOptions,
  quick,
} from "./quick.ts";
export type { Job } from "./train/job.ts";
export type { StepMetrics } from "./train/metrics.ts";
export { readMetrics } from "./train/metrics_reader.ts";
export type { RunFinished } from "./train/progress.ts";
export { type SavedCheckpoint, type SaveHook, saveHook } from "./train/save_hooks.ts";
export type { Task, TaskContext, TaskProgress, TaskResult } from "./train/task.ts";
export { type TrackedRun, type Tracker, type TrackerKind, tracker } from "./train/trackers.ts";
export type { Validation } from "./train/validate.ts";
export {
  CheckpointError,
  ConfigError,
  DataError,
  DeviceError,
  UserError,
} from "./util/errors.ts";
export { VERSION } from "./util/version.ts";
