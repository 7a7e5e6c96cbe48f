/**
 * @file A training run from its configuration to its weights. Everything is checked before the run directory is made. A run
 * of that name that is there already goes on from its newest checkpoint that verifies.
 */
import type { Config } from "../config/config.ts";
import { newBatch } from "../data/batch.ts";
import { type Dataset, openDataset, type TrainData } from "../data/dataset.ts";
import { dataFields } from "../data/fields.ts";
import { ValidationLoader } from "../data/loader.ts";
import type { LanguageModel } from "../nn/language_model.ts";
import { checkSharding } from "../nn/sharding.ts";
import { scheduleFields } from "../optim/fields.ts";
import type { Device } from "../runtime/index.ts";
import { UserError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { keepRunAlgorithms, useRunAlgorithms } from "./algorithm_record.ts";
import { batchOf } from "./batch_size.ts";
import { beginWeights, settledRequest } from "./beginning.ts";
import { type Checkpointer, checkpointerOf, type RunState } from "./checkpointer.ts";
import { withDataset } from "./data_record.ts";
import type { Engine } from "./engine.ts";
import {
  checkpointFields,
  loggingFields,
  samplingFields,
  trainingFields,
  validationFields,
} from "./fields.ts";
import type { Job } from "./job.ts";
import { loggedMetrics } from "./metrics_reader.ts";
import { peakOf } from "./peak.ts";
import type { Progress, RunFinished } from "./progress.ts";
import { openEngine, openRunDevice } from "./run_device.ts";
import type { RunPlace } from "./run_directory.ts";
import { openRun, type RunFolder } from "./run_folder.ts";
import { RunMetrics } from "./run_metrics.ts";
import { SAVE_HOOKS } from "./save_hooks.ts";
import { lastStepOf } from "./stop.ts";
import { targetOf } from "./target.ts";
import { TRACKERS } from "./trackers.ts";
import { Trainer, type TrainResult } from "./trainer.ts";
import { type Validation, validateOn } from "./validate.ts";
import { matchedWeights, publishWeights, saveWeights } from "./weights.ts";

export interface TrainingRequest {
  readonly job: Job;
  readonly config: Config;
  readonly place: RunPlace;
  /** The user's own file, kept beside the resolved configuration. */
  readonly sourceText?: string;
  /** Moves an older run of that name aside instead of going on with it. */
  readonly fresh?: boolean;
  /** Goes on although settings differ that change the course of the run. */
  readonly allowChange?: boolean;
  /** A file or folder whose weights a new run begins with; a run that goes on has its own. */
  readonly initFrom?: string;
  /** The run goes on when it is done. */
  readonly onProgress?: (progress: Progress) => void | Promise<void>;
  /** Ends the run at the next step boundary; what was trained is saved. */
  readonly signal?: AbortSignal;
  /** For a caller that steps through the run: nothing is computed while `onProgress` is not done, and it may look inside. */
  readonly stepwise?: (inside: Inside) => void;
}

/** A run between two steps. */
export interface Inside {
  validate(): Promise<Validation>;
  saveWeights(path: string): void;
}

function checkVocabulary(dataset: Dataset, model: LanguageModel): void {
  const { vocabSize, tokenizer } = dataset;
  const { name } = tokenizer;
  if (vocabSize > model.vocabSize)
    throw new UserError(
      `architecture.vocab_size ${model.vocabSize} is less than the ${vocabSize} tokens of the tokenizer ${name}`,
      {
        code: "config",
        hint: `set architecture.vocab_size to ${vocabSize} or more; a multiple of 64 is faster`,
        place: { key: "architecture.vocab_size" },
      },
    );
}

export async function runTraining(asked: TrainingRequest): Promise<RunFinished> {
  const request = await settledRequest(asked);
  const model = request.job.model(request.config);
  checkSharding(model);
  const dataset = await openDataset(request.config.values(dataFields));
  checkVocabulary(dataset, model);
  dataset.check(model.blockSize);
  const config = withDataset(request.config, dataset);
  if (request.initFrom !== undefined) matchedWeights(model, request.initFrom);
  for (const name of request.config.get(loggingFields.trackers)) TRACKERS.named(name);
  await request.job.evaluation.check(request.config);
  for (const name of request.config.get(checkpointFields.afterSave)) SAVE_HOOKS.named(name);
  const device = openRunDevice(model, config);
  try {
    return await trainOn(device, model, dataset, { ...request, config });
  } finally {
    device.close();
    dataset.close();
  }
}

async function trainOn(
  device: Device,
  model: LanguageModel,
  dataset: Dataset,
  request: TrainingRequest,
): Promise<RunFinished> {
  const run = openRun(request, model, device, dataset.record);
  try {
    useRunAlgorithms(run.directory, device);
    const engine = openEngine(device, run.prepared);
    keepRunAlgorithms(run.directory, device);
    const { totalBytes } = run.prepared.memory;
    try {
      return await trainIn(run, engine, model, dataset, request, totalBytes);
    } finally {
      await engine.finish().catch(() => undefined);
      engine.free();
    }
  } catch (error) {
    run.failed(error);
    throw error;
  } finally {
    run.close();
  }
}

async function trainIn(
  run: RunFolder,
  engine: Engine,
  model: LanguageModel,
  dataset: Dataset,
  request: TrainingRequest,
  memoryBytes: number,
): Promise<RunFinished> {
  const { directory, config } = run;
  const { onProgress = () => {} } = request;
  const { precision } = config.values(trainingFields);
  const { rows, accumulate } = batchOf(config);
  const target = targetOf(engine.device);
  const { gpu } = engine.device.info;
  const data = dataset.train({
    length: model.blockSize,
    seed: config.get(trainingFields.seed),
    samplesPerStep: rows * accumulate,
  });
  const initial = await engine.start("init");
  const checkpoints = checkpointerOf(engine, model, run, dataset, request.initFrom);
  await initial.done();
  const from = await checkpoints.restore();
  await beginWeights(engine, model, run, request.initFrom, from);
  run.begin(from);
  await onProgress({
    kind: "started",
    directory,
    parameters: model.parameters().reduce((n, p) => n + p.count, 0),
    steps: lastStepOf(config, model.blockSize, data.perEpoch),
    tokensPerStep: rows * model.blockSize * accumulate,
    dataset: dataset.name,
    trainTokens: dataset.trainTokens,
    memoryBytes,
    device: gpu === null ? target.level : `GPU ${gpu.ordinal} (${gpu.name})`,
    threads: gpu === null ? target.threads : null,
    precision,
    resumedFrom: from?.step ?? null,
  });
  const metrics = new RunMetrics(run, from);
  try {
    const parts = { engine, model, dataset, data, checkpoints, metrics };
    const result = await train(run, request, parts, from);
    await checkpoints.finish();
    publishWeights(directory);
    return await finished(run, result, onProgress);
  } finally {
    metrics.close();
    await checkpoints.close();
  }
}

interface Parts {
  readonly engine: Engine;
  readonly model: LanguageModel;
  readonly dataset: Dataset;
  readonly data: TrainData;
  readonly checkpoints: Checkpointer;
  readonly metrics: RunMetrics;
}

const SAMPLE_TEMPERATURE = 0.8;

/** Writes one sample as an event and shows it. */
function sampler(run: RunFolder, request: TrainingRequest, parts: Parts) {
  const { config, status } = run;
  const { prompt, tokens: maxTokens } = config.values(samplingFields);
  const { engine, model, dataset } = parts;
  const { job, signal, onProgress } = request;
  const options = {
    ...{ maxTokens, blockSize: model.blockSize, temperature: SAMPLE_TEMPERATURE, topK: 0 },
    seed: config.get(trainingFields.seed),
    ...(signal === undefined ? {} : { signal }),
  };
  return async (step: number): Promise<void> => {
    const text = await job.continueText(engine, dataset.tokenizer, prompt, options);
    status.event({ event: "sample", step, prompt, text });
    await onProgress?.({ kind: "sample", step, prompt, text });
  };
}

/** Runs the tasks; their numbers are an event, their results a folder of the run. */
function evaluator(run: RunFolder, request: TrainingRequest, parts: Parts) {
  const { config, status, directory } = run;
  const { engine, model, dataset } = parts;
  const { job, signal } = request;
  const judging = { engine, model, tokenizer: dataset.tokenizer, config, directory };
  return async (step: number): Promise<void> => {
    const more = signal === undefined ? {} : { signal };
    const results = await job.evaluation.judge({ ...judging, step, ...more });
    status.event({ event: "evaluated", step, results });
    for (const [name, value] of Object.entries(results))
      log.info(`step ${step}  ${name} ${value.toFixed(4)}`);
  };
}

/** What the configuration says of the loop. */
function loopOptions(run: RunFolder, job: Job, { model, data, engine }: Parts) {
  const { config } = run;
  const { steps, stopMinutes, skipNonfinite, spikeFactor } = config.values(trainingFields);
  const target = targetOf(engine.device);
  return {
    ...{
      steps,
      stopMinutes,
      skipNonfinite,
      spikeFactor,
      attempt: run.attempt,
      length: model.blockSize,
    },
    ...batchOf(config),
    lastStep: lastStepOf(config, model.blockSize, data.perEpoch),
    intervals: {
      save: config.get(checkpointFields.interval),
      validate: config.get(validationFields.interval),
      sample: config.get(samplingFields.interval),
      evaluate: job.evaluation.interval(config),
    },
    schedule: config.values(scheduleFields),
    flopsPerToken: model.flopsPerToken(),
    peakFlops: peakOf(
      target,
      engine.device.info.gpu?.name ?? null,
      config.get(trainingFields.precision) !== "f32",
    ),
  };
}

async function train(
  run: RunFolder,
  request: TrainingRequest,
  parts: Parts,
  from: RunState | null,
): Promise<TrainResult> {
  const { config, directory, status } = run;
  const { engine, model, data, checkpoints, metrics } = parts;
  const { rows, accumulate } = batchOf(config);
  const length = model.blockSize;
  const { dataset } = parts;
  const { tokenizer } = dataset;
  const { batches } = config.values(validationFields);
  const validation = new ValidationLoader(dataset.heldOut(length), rows, batches);
  const { onProgress = () => {}, signal, stepwise } = request;
  stepwise?.({
    validate: () => validateOn(engine, validation, tokenizer, newBatch(rows, length)),
    saveWeights: (path) => saveWeights(engine, model, path, { job: request.job.name }),
  });
  const logged = from === null ? undefined : loggedMetrics(directory, from.step);
  let step = from?.step ?? 0;
  const loader = data.loader(rows, (from?.step ?? 0) * rows * accumulate);
  const trainer = new Trainer(
    {
      ...loopOptions(run, request.job, parts),
      ...(from === null ? {} : { from }),
      ...(logged === undefined ? {} : { logged }),
    },
    {
      ...{ engine, validation, tokenizer, metrics, checkpoints, train: loader },
      place: (sample) => data.place(sample),
      stepwise: stepwise !== undefined,
      sample: sampler(run, request, parts),
      evaluate: evaluator(run, request, parts),
      onEvent: (event) => status.event(event),
      onProgress: async (event) => {
        if (event.kind === "step") {
          step = event.metrics.step;
          status.beat(step);
        }
        await onProgress(event);
      },
      ...(signal === undefined ? {} : { signal }),
    },
  );
  const still = status.beatWhileWorking(() => step);
  try {
    return await trainer.run();
  } finally {
    still();
    loader.close();
  }
}

async function finished(
  run: RunFolder,
  result: TrainResult,
  onProgress: (progress: Progress) => void | Promise<void>,
): Promise<RunFinished> {
  const { reason, step, loss, validation, elapsedSeconds } = result;
  const event: RunFinished = {
    kind: "finished",
    directory: run.directory,
    reason,
    step,
    loss,
    valLoss: validation?.loss ?? null,
    valBitsPerByte: validation?.bitsPerByte ?? null,
    elapsedSeconds,
  };
  run.status.event({ event: reason, step });
  run.status.exit({ state: reason, step, reason, attempt: run.attempt });
  await onProgress(event);
  return event;
}
