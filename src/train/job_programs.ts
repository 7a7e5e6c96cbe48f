/** @file All programs of a training job, compiled: what the engine loads and what `plan` reports on. */
import type { Config } from "../config/config.ts";
import { dataFields } from "../data/fields.ts";
import type { LanguageModel } from "../nn/language_model.ts";
import { adamwFields } from "../optim/fields.ts";
import type { Compiled, Target } from "../passes/index.ts";
import { batchOf } from "./batch_size.ts";
import { samplingFields, trainingFields } from "./fields.ts";
import { compileIn, resolvePrecision } from "./precision.ts";
import { buildEval, buildInit, buildLogits, buildMicro, buildUpdate } from "./programs.ts";

export type TrainingProgramName = "init" | "micro" | "micro_add" | "update" | "eval" | "logits";
/** Those of generation carry their number of rows, and of tokens in each; the last two are those of evaluation. */
export type ProgramName =
  | TrainingProgramName
  | `decode_${number}`
  | `prefill_${number}x${number}`
  | "score_hidden"
  | "score_tokens";
export type Programs = ReadonlyMap<ProgramName, Compiled>;

/** The programs of training; `micro_add` only where a step has several micro-batches, `logits` where it samples. */
export function compileTraining(
  model: LanguageModel,
  config: Config,
  target: Target,
): Map<TrainingProgramName, Compiled> {
  const { seed } = config.values(trainingFields);
  const { rows, accumulate } = batchOf(config);
  const samples = config.get(samplingFields.interval) !== 0;
  const precision = resolvePrecision(config, target);
  const documents = config.get(dataFields.documentMask) === true;
  const batch = { rows, length: model.blockSize, documents };
  const micro = (add: boolean) => buildMicro(model, { batch, precision, seed, accumulate: add });
  const graphs = [
    buildInit(model, seed),
    micro(false),
    ...(accumulate > 1 ? [micro(true)] : []),
    buildUpdate(model, config.values(adamwFields)),
    buildEval(model, batch, precision),
    ...(samples ? [buildLogits(model, precision)] : []),
  ];
  return new Map(
    graphs.map((graph) => [graph.name as TrainingProgramName, compileIn(precision, graph, target)]),
  );
}
