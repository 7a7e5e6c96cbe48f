/**
 * @file A training run from its configuration to its weights. Everything is checked before the run directory is made. A run
 * of that name that is there already goes on from its newest checkpoint that verifies.
 */
import type { Config } from "../config/config.ts";
import { type Dataset, openDataset } from "../data/dataset.ts";
import { dataFields } from "../data/fields.ts";
import { newBatch, TrainLoader, ValidationLoader } from "../data/loader.ts";
import type { LanguageModel } from "../nn/language_model.ts";
import { checkSharding } from "../nn/sharding.ts";
import { scheduleFields } from "../optim/fields.ts";
import { type Device, openDevice } from "../runtime/index.ts";
import { UserError } from "../util/errors.ts";
import { type Checkpointer, checkpointerOf, type RunState } from "./checkpointer.ts";
import { Engine } from "./engine.ts";
import { loggingFields, trainingFields, validationFields } from "./fields.ts";
import type { Job } from "./job.ts";
import { compileTraining } from "./job_programs.ts";
import { expectFits, memoryReport } from "./memory_report.ts";
import { peakFlops } from "./peak.ts";
import type { Progress, RunFinished } from "./progress.ts";
import type { RunPlace } from "./run_directory.ts";
import { openRun, type RunFolder } from "./run_folder.ts";
import { RunMetrics } from "./run_metrics.ts";
import { targetOf } from "./target.ts";
import { TRACKERS } from "./trackers.ts";
import { Trainer, type TrainResult } from "./trainer.ts";
import { type Validation, validateOn } from "./validate.ts";
import { publishWeights, saveWeights } from "./weights.ts";

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
  const { name, vocabSize } = dataset.tokenizer;
  if (vocabSize > model.vocabSize)
    throw new UserError(
      `architecture.vocab_size ${model.vocabSize} is less than the ${vocabSize} tokens of the tokenizer ${name}`,
      { code: "config", place: { key: "architecture.vocab_size" } },
    );
}

export async function runTraining(request: TrainingRequest): Promise<RunFinished> {
  const model = request.job.model(request.config);
  checkSharding(model);
  const dataset = openDataset(request.config.values(dataFields));
  checkVocabulary(dataset, model);
  for (const name of request.config.get(loggingFields.trackers)) TRACKERS.named(name);
  const { threads } = request.config.values(trainingFields);
  const device = openDevice(threads === null ? {} : { threads });
  try {
    return await trainOn(device, model, dataset, request);
  } finally {
    device.close();
  }
}

async function trainOn(
  device: Device,
  model: LanguageModel,
  dataset: Dataset,
  request: TrainingRequest,
): Promise<RunFinished> {
  const target = targetOf(device);
  // Opened only when all that can be checked without it has been.
  const prepare = (config: Config) => {
    const programs = compileTraining(model, config, target);
    const memory = memoryReport(programs, target);
    expectFits(memory, device.info.memory_bytes);
    return { programs, memory };
  };
  const run = openRun(request, device);
  try {
    const { programs, memory } = prepare(run.config);
    const engine = new Engine(device, programs);
    try {
      return await trainIn(run, engine, model, dataset, request, memory.totalBytes);
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
  const { rows, accumulate, steps, precision } = config.values(trainingFields);
  const target = targetOf(engine.device);
  const initial = await engine.start("init");
  const checkpoints = checkpointerOf(engine, model, run);
  await initial.done();
  const from = await checkpoints.restore();
  run.begin(from);
  await onProgress({
    kind: "started",
    directory,
    parameters: model.parameters().reduce((n, p) => n + p.count, 0),
    steps,
    tokensPerStep: rows * model.blockSize * accumulate,
    dataset: dataset.name,
    trainTokens: dataset.train.length,
    memoryBytes,
    device: target.level,
    threads: target.threads,
    precision,
    resumedFrom: from?.step ?? null,
  });
  const metrics = new RunMetrics(run, from);
  try {
    const result = await train(run, engine, model, dataset, request, checkpoints, metrics, from);
    await checkpoints.finish();
    publishWeights(directory);
    return await finished(run, result, onProgress);
  } finally {
    metrics.close();
    await checkpoints.settle();
  }
}

async function train(
  run: RunFolder,
  engine: Engine,
  model: LanguageModel,
  dataset: Dataset,
  request: TrainingRequest,
  checkpoints: Checkpointer,
  metrics: RunMetrics,
  from: RunState | null,
): Promise<TrainResult> {
  const { config } = run;
  const { rows, accumulate, seed, steps } = config.values(trainingFields);
  const { interval, batches } = config.values(validationFields);
  const length = model.blockSize;
  const validation = new ValidationLoader(dataset.validation, length, rows, batches);
  const { tokenizer } = dataset;
  const { onProgress = () => {}, signal, stepwise } = request;
  const target = targetOf(engine.device);
  stepwise?.({
    validate: () => validateOn(engine, validation, tokenizer, newBatch(rows, length)),
    saveWeights: (path) => saveWeights(engine, model, path, { job: request.job.name }),
  });
  const trainer = new Trainer(
    {
      ...{ steps, rows, length, accumulate, validateEvery: interval, attempt: run.attempt },
      schedule: config.values(scheduleFields),
      flopsPerToken: model.flopsPerToken(),
      peakFlops: peakFlops(target.level, target.threads),
      ...(from === null ? {} : { from }),
    },
    {
      ...{ engine, validation, tokenizer, metrics, checkpoints },
      train: new TrainLoader(dataset.train, length, seed),
      stepwise: stepwise !== undefined,
      onProgress: async (event) => {
        if (event.kind === "step") run.status.beat(event.metrics.step);
        await onProgress(event);
      },
      ...(signal === undefined ? {} : { signal }),
    },
  );
  return trainer.run();
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
