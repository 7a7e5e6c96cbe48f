/** @file A training run from its configuration to its weights: everything is checked before the run directory is made. */
import { join } from "node:path";
import type { Config } from "../config/config.ts";
import { writeYaml } from "../config/write.ts";
import { type Dataset, openDataset } from "../data/dataset.ts";
import { dataFields } from "../data/fields.ts";
import { newBatch, TrainLoader, ValidationLoader } from "../data/loader.ts";
import type { LanguageModel } from "../nn/language_model.ts";
import { checkSharding } from "../nn/sharding.ts";
import { scheduleFields } from "../optim/fields.ts";
import type { CpuTarget } from "../passes/index.ts";
import { type Device, openDevice } from "../runtime/index.ts";
import { UserError } from "../util/errors.ts";
import { VERSION } from "../util/version.ts";
import { Engine } from "./engine.ts";
import { trainingFields, validationFields } from "./fields.ts";
import type { Job } from "./job.ts";
import { compileTraining, resolvePrecision } from "./job_programs.ts";
import { expectFits, memoryReport } from "./memory_report.ts";
import { MetricsWriter } from "./metrics.ts";
import { peakFlops } from "./peak.ts";
import type { Progress, RunFinished } from "./progress.ts";
import {
  createRunDirectory,
  environment,
  type RunPlace,
  writeAtomically,
} from "./run_directory.ts";
import { Trainer, type TrainerParts } from "./trainer.ts";
import { type Validation, validateOn } from "./validate.ts";
import { saveWeights, WEIGHTS_FILE } from "./weights.ts";

export interface TrainingRequest {
  readonly job: Job;
  readonly config: Config;
  readonly place: RunPlace;
  /** The user's own file, kept beside the resolved configuration. */
  readonly sourceText?: string;
  /** Moves an older run of that name aside instead of failing. */
  readonly fresh?: boolean;
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

export const targetOf = ({ info }: Device): CpuTarget => ({
  kind: "cpu",
  level: info.level,
  threads: info.threads,
});

function checkVocabulary(dataset: Dataset, model: LanguageModel): void {
  const { name, vocabSize } = dataset.tokenizer;
  if (vocabSize > model.vocabSize)
    throw new UserError(
      `architecture.vocab_size ${model.vocabSize} is less than the ${vocabSize} tokens of the tokenizer ${name}`,
      { code: "config", place: { key: "architecture.vocab_size" } },
    );
}

function writeDescription(directory: string, request: TrainingRequest, device: Device): void {
  const { job, config, sourceText, place } = request;
  const write = (name: string, text: string) => writeAtomically(join(directory, name), text);
  const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
  write("run.json", json({ job: job.name, version: VERSION, ...place }));
  if (sourceText !== undefined) write("config.yaml", sourceText);
  const header = `${job.name}: every setting of the run ${place.name}`;
  write("config.resolved.yaml", writeYaml(job.schema, config, header));
  write("env.json", json(environment(device.info)));
}

export async function runTraining(request: TrainingRequest): Promise<RunFinished> {
  const model = request.job.model(request.config);
  checkSharding(model);
  const dataset = openDataset(request.config.values(dataFields));
  checkVocabulary(dataset, model);
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
  const { onProgress = () => {} } = request;
  const target = targetOf(device);
  const config = request.config.with(
    new Map([[trainingFields.precision, resolvePrecision(request.config, target)]]),
  );
  const { rows, accumulate, seed, steps, precision } = config.values(trainingFields);
  const length = model.blockSize;
  const train = new TrainLoader(dataset.train, length, seed);
  const { interval, batches } = config.values(validationFields);
  const validation = new ValidationLoader(dataset.validation, length, rows, batches);
  const programs = compileTraining(model, config, target);
  const memory = memoryReport(programs, target);
  expectFits(memory, device.info.memory_bytes);
  const engine = new Engine(device, programs);
  const directory = createRunDirectory(request.place, request.fresh ?? false);
  // The initial values are made while the files are written.
  const initial = await engine.start("init");
  writeDescription(directory, { ...request, config }, device);
  await onProgress({
    kind: "started",
    directory,
    parameters: model.parameters().reduce((n, p) => n + p.count, 0),
    steps,
    tokensPerStep: rows * length * accumulate,
    dataset: dataset.name,
    trainTokens: dataset.train.length,
    memoryBytes: memory.totalBytes,
    device: target.level,
    threads: target.threads,
    precision,
  });
  await initial.done();
  const metrics = new MetricsWriter(join(directory, "metrics.jsonl"));
  const { tokenizer } = dataset;
  const parts = { engine, train, validation, tokenizer, metrics, onProgress };
  const trainer = new Trainer(
    {
      ...{ steps, rows, length, accumulate, validateEvery: interval },
      schedule: config.values(scheduleFields),
      flopsPerToken: model.flopsPerToken(),
      peakFlops: peakFlops(target.level, target.threads),
    },
    withSignal({ ...parts, stepwise: request.stepwise !== undefined }, request.signal),
  );
  request.stepwise?.({
    validate: () => validateOn(engine, validation, tokenizer, newBatch(rows, length)),
    saveWeights: (path) => saveWeights(engine, model, path, { job: request.job.name }),
  });
  try {
    const result = await trainer.run();
    const path = join(directory, WEIGHTS_FILE);
    saveWeights(engine, model, path, { step: String(result.step), job: request.job.name });
    const finished: RunFinished = {
      kind: "finished",
      directory,
      reason: result.reason,
      step: result.step,
      loss: result.loss,
      valLoss: result.validation?.loss ?? null,
      valBitsPerByte: result.validation?.bitsPerByte ?? null,
      elapsedSeconds: result.elapsedSeconds,
    };
    await onProgress(finished);
    return finished;
  } finally {
    metrics.close();
    await engine.finish();
    engine.free();
  }
}

const withSignal = (parts: TrainerParts, signal: AbortSignal | undefined): TrainerParts =>
  signal === undefined ? parts : { ...parts, signal };
