/**
 * @file The training loop. Step n + 1 is prepared and queued while step n computes, so a step's loss is read one step late.
 * What is computed depends on the configuration alone, never on timing.
 */
import { newBatch } from "../data/batch.ts";
import type { TrainLoader, ValidationLoader } from "../data/loader.ts";
import type { Place } from "../data/samples/sampler.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { LARGEST_F32 } from "../optim/adamw_update.ts";
import { learningRate, type ScheduleOptions } from "../optim/schedule.ts";
import { UserError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import type { Checkpointer, RunState } from "./checkpointer.ts";
import { Due } from "./due.ts";
import type { Engine, Run } from "./engine.ts";
import { metricsLine, parseMetricsLine, type StepMetrics } from "./metrics.ts";
import type { Progress } from "./progress.ts";
import { Rates } from "./rates.ts";
import { SpikeWatch } from "./spikes.ts";
import { type Validation, validateOn } from "./validate.ts";

export interface TrainerOptions {
  /** Over which the schedule is laid. */
  readonly steps: number;
  /** Where the run ends: at most `steps`. */
  readonly lastStep: number;
  /** Ends the run after so much time over all attempts. */
  readonly stopMinutes: number | null;
  readonly rows: number;
  readonly length: number;
  readonly accumulate: number;
  readonly schedule: ScheduleOptions;
  /** As written in the configuration; 0: never but at the end (samples: never). */
  readonly intervals: Readonly<Record<"save" | "validate" | "sample", number | string>> & {
    /** Null: there is nothing to evaluate. */
    readonly evaluate: number | string | null;
  };
  /** How many times the median of recent gradient norms is too much; null: nothing finite is. */
  readonly spikeFactor: number | null;
  /** Steps of the whole run that may be left out because they are not finite, or spikes. */
  readonly skipNonfinite: number;
  readonly flopsPerToken: number;
  readonly peakFlops: number | null;
  /** Where the run stood when its last attempt ended; absent: at the start. */
  readonly from?: RunState;
  /** The metrics that were written for that step, if they were. */
  readonly logged?: StepMetrics;
  /** Counts from 1. */
  readonly attempt: number;
}

export interface TrainerParts {
  readonly engine: Engine;
  readonly train: TrainLoader;
  /** Where a sample lies in the data. */
  readonly place: (sample: number) => Place;
  readonly validation: ValidationLoader;
  readonly tokenizer: Tokenizer;
  readonly metrics: { write(metrics: StepMetrics): void };
  readonly checkpoints: Checkpointer;
  readonly onEvent: (event: Readonly<Record<string, unknown>>) => void;
  /** Writes one sample. */
  readonly sample: (step: number) => Promise<void>;
  /** Runs the evaluation tasks. */
  readonly evaluate: (step: number) => Promise<void>;
  /** The loop goes on when it is done. */
  readonly onProgress: (progress: Progress) => void | Promise<void>;
  /** Ends the run at the next step boundary. */
  readonly signal?: AbortSignal;
  /** Nothing runs ahead of a step's results: whoever looks in between finds the weights of that step. */
  readonly stepwise?: boolean;
}

export interface TrainResult {
  readonly reason: "finished" | "interrupted";
  /** Steps done. */
  readonly step: number;
  readonly loss: number;
  readonly validation: Validation | null;
  readonly elapsedSeconds: number;
}

/** What follows a step, decided once when the step is queued. */
type Follows = Readonly<Record<"save" | "validate" | "sample" | "evaluate", boolean>>;

/** A step whose results have not been read yet. */
interface Pending {
  readonly index: number;
  readonly learningRate: number;
  readonly normLimit: number;
  readonly update: Run;
}

export class Trainer {
  private readonly options: TrainerOptions;
  private readonly parts: TrainerParts;
  private readonly rates = new Rates();
  private readonly due: Readonly<Record<keyof Follows, Due>>;
  private readonly spikes: SpikeWatch;
  private tokens: number;
  private loss: number;
  private skipped: number;
  /** Of the last step that was read. */
  private line: string | null;
  private validated: { readonly step: number; readonly result: Validation } | null = null;
  private readonly began = performance.now();
  private lastRead = this.began;
  private readonly samples: Uint32Array;

  constructor(options: TrainerOptions, parts: TrainerParts) {
    this.options = options;
    this.parts = parts;
    const { rows, length, accumulate, from, intervals } = options;
    this.spikes = new SpikeWatch(options.spikeFactor, from?.recent_norms);
    this.tokens = from?.tokens ?? 0;
    this.loss = from?.loss ?? Number.NaN;
    this.skipped = from?.skipped ?? 0;
    this.line = from?.metrics ?? null;
    this.samples = new Uint32Array(rows);
    const due = (interval: number | string) => new Due(interval, rows * length * accumulate);
    const { save, validate, sample, evaluate } = intervals;
    this.due = {
      ...{ save: due(save), validate: due(validate), sample: due(sample) },
      evaluate: due(evaluate ?? 0),
    };
  }

  async run(): Promise<TrainResult> {
    let pending: Pending | undefined;
    let done = this.options.from?.step ?? 0;
    let over = this.overAfter(done);
    await this.catchUp(done, over);
    while (!over && !this.stopping) {
      const next = await this.startStep(done++);
      if (pending !== undefined) await this.finishStep(pending, null);
      pending = next;
      over = this.overAfter(done);
      const follows = this.followsAfter(done, over);
      if (this.parts.stepwise === true || Object.values(follows).some((each) => each)) {
        await this.finishStep(pending, follows);
        pending = undefined;
      }
      // Lets signals and timers run: nothing above is obliged to wait.
      await new Promise(setImmediate);
    }
    if (pending !== undefined) await this.finishStep(pending, null);
    await this.save(done);
    const { loss, validated } = this;
    const reason = over ? "finished" : "interrupted";
    const validation = validated?.step === done ? validated.result : null;
    return { reason, step: done, loss, validation, elapsedSeconds: this.elapsed() };
  }

  private get stopping(): boolean {
    return this.parts.signal?.aborted === true;
  }

  private elapsed(): number {
    return (this.options.from?.elapsed_s ?? 0) + (performance.now() - this.began) / 1000;
  }

  private overAfter(done: number): boolean {
    const { lastStep, stopMinutes } = this.options;
    return done >= lastStep || (stopMinutes !== null && this.elapsed() >= stopMinutes * 60);
  }

  /** Asked once a step: intervals of minutes start anew. */
  private followsAfter(done: number, over: boolean): Follows {
    const { due } = this;
    const requested = this.parts.checkpoints.requested();
    const [save, validate] = [due.save.after(done), due.validate.after(done)];
    return {
      save: save || requested || over,
      validate: validate || over,
      sample: due.sample.after(done),
      evaluate: due.evaluate.after(done) || (over && this.options.intervals.evaluate !== null),
    };
  }

  /** Nothing may be in flight. */
  private async save(step: number): Promise<void> {
    const { checkpoints, engine } = this.parts;
    await engine.finish();
    const { tokens, loss, skipped, line: metrics } = this;
    const { attempt } = this.options;
    const best = checkpoints.bestSoFar;
    const elapsed_s = this.elapsed();
    const recent_norms = this.spikes.recent;
    const counts = { step, tokens, loss, elapsed_s, attempt, skipped };
    await checkpoints.save({ ...counts, best, metrics, recent_norms });
  }

  /** A kill between a save and the metrics of its step left these out, and the validation that belongs to them. */
  private async catchUp(step: number, over: boolean): Promise<void> {
    const { from, logged, attempt } = this.options;
    if (from === undefined) return;
    const known = logged ?? (from.metrics === null ? undefined : parseMetricsLine(from.metrics));
    if (known === undefined) return;
    const { val_loss: loss, val_bits_per_byte: bitsPerByte } = known;
    if (loss !== undefined && bitsPerByte !== undefined) {
      this.noteValidation(step, { loss, bitsPerByte });
      return;
    }
    const validation = over || this.due.validate.byStep(step) ? await this.validate(step) : null;
    if (logged !== undefined && validation === null) return;
    this.parts.metrics.write({ ...known, attempt, ...validationMetrics(validation) });
  }

  /** Queues the micro-batches and the update of one step. */
  private async startStep(index: number): Promise<Pending> {
    const { rows, accumulate, schedule, steps } = this.options;
    const { engine, train } = this.parts;
    const { samples } = this;
    for (let micro = 0; micro < accumulate; micro++) {
      const first = (index * accumulate + micro) * rows;
      const batch = await train.take(first);
      for (let row = 0; row < rows; row++) samples[row] = first + row;
      const inputs = { ...batch, step: index, sample: samples };
      await engine.start(micro === 0 ? "micro" : "micro_add", inputs);
    }
    const rate = learningRate(schedule, index, steps);
    await this.parts.checkpoints.copied();
    const normLimit = Math.min(this.spikes.limit(index + 1), LARGEST_F32);
    const inputs = { learning_rate: rate, step: index + 1, norm_limit: normLimit };
    const update = await engine.start("update", inputs);
    return { index, learningRate: rate, normLimit, update };
  }

  /** Reads a step's results, saves, validates and samples if it is time, writes the metrics. */
  private async finishStep(pending: Pending, follows: Follows | null): Promise<void> {
    const step = pending.index + 1;
    const { metrics, applied } = await this.read(pending);
    this.line = metricsLine(metrics);
    if (applied) this.spikes.note(step, metrics.grad_norm);
    const halted = applied ? null : this.nonfinite(metrics, pending.normLimit);
    // A save comes first: what fails after it loses nothing.
    if (follows?.save === true && halted === null) await this.save(step);
    const validates = follows?.validate === true && halted === null;
    const validation = validates ? await this.validate(step) : null;
    this.lastRead = performance.now();
    const { lastStep: steps } = this.options;
    const complete = { ...metrics, ...validationMetrics(validation) };
    this.parts.metrics.write(complete);
    const etaSeconds = Math.max(0, steps - step) * this.rates.typical();
    await this.parts.onProgress({ kind: "step", metrics: complete, steps, etaSeconds });
    if (halted !== null) throw halted;
    if (follows?.sample === true)
      await this.attempt("sampling", step, () => this.parts.sample(step));
    if (follows?.evaluate === true)
      await this.attempt("evaluation", step, () => this.parts.evaluate(step));
    if (this.parts.stepwise === true || follows !== null) this.lastRead = performance.now();
  }

  private async read(pending: Pending): Promise<{ metrics: StepMetrics; applied: boolean }> {
    const value = async (name: string) => Number(await pending.update.output(name));
    this.loss = await value("loss");
    const tokens = await value("tokens");
    const gradNorm = await value("grad_norm");
    const applied = (await value("applied")) !== 0;
    this.tokens += tokens;
    const seconds = (performance.now() - this.lastRead) / 1000;
    this.rates.add(seconds);
    const { flopsPerToken, peakFlops } = this.options;
    const perSecond = tokens / seconds;
    const metrics: StepMetrics = {
      step: pending.index + 1,
      tokens: this.tokens,
      loss: this.loss,
      learning_rate: pending.learningRate,
      grad_norm: gradNorm,
      tokens_per_s: perSecond,
      mfu: peakFlops === null ? null : (perSecond * flopsPerToken) / peakFlops,
      elapsed_s: this.elapsed(),
      attempt: this.options.attempt,
    };
    return { metrics, applied };
  }

  /** Counts a step whose update was not applied; the error that ends the run, if it may not be left out. */
  private nonfinite({ step, loss, grad_norm: norm }: StepMetrics, limit: number): UserError | null {
    const { rows, accumulate, skipNonfinite } = this.options;
    const first = (step - 1) * rows * accumulate;
    const samples = Array.from({ length: rows * accumulate }, (_, i) => first + i);
    const places = samples.map((sample) => this.parts.place(sample));
    const skips = this.skipped < skipNonfinite;
    this.parts.onEvent({
      ...{ event: "nonfinite", step, skipped: skips, loss: String(loss), grad_norm: String(norm) },
      samples: [first, first + samples.length - 1],
      token_positions: places.map(({ token }) => token),
      sources: places.map(({ source }) => source),
    });
    const factor = Number.isFinite(norm) && Number.isFinite(loss) ? this.options.spikeFactor : null;
    const spike = factor === null ? "" : `, over ${limit}, ${factor} times what is usual,`;
    const what =
      `step ${step}: the norm of the gradient is ${norm}${spike} (loss ${loss}) on the run's samples ` +
      `${first} to ${first + samples.length - 1}`;
    if (!skips)
      return new UserError(`${what}; the weights are those of step ${step - 1}`, {
        code: "run_failed",
        hint: "a lower training.learning_rate or a longer warm-up may help; events.jsonl says where the samples are",
      });
    this.skipped++;
    log.warn(`${what}; left out, ${skipNonfinite - this.skipped} more may be`);
    return null;
  }

  private async validate(step: number): Promise<Validation | null> {
    const { engine, validation, tokenizer, signal } = this.parts;
    if (validation.batches === 0) return null;
    const { rows, length } = this.options;
    const result = await this.attempt("validation", step, () =>
      validateOn(engine, validation, tokenizer, newBatch(rows, length), signal),
    );
    if (result !== null) this.noteValidation(step, result);
    return result;
  }

  private noteValidation(step: number, result: Validation): void {
    this.validated = { step, result };
    this.parts.checkpoints.noteValidation(step, result.loss);
  }

  /** What fails here does not end the training; null then, and when the run is to end. */
  private async attempt<T>(what: string, step: number, body: () => Promise<T>): Promise<T | null> {
    if (this.stopping) return null;
    try {
      return await body();
    } catch (error) {
      // Throws where the device itself has failed: then nothing can go on.
      await this.parts.engine.finish();
      if (this.stopping) return null;
      const message = error instanceof Error ? error.message : String(error);
      log.warn(`${what} failed after step ${step}: ${message}; training goes on`);
      this.parts.onEvent({ event: `${what}_failed`, step, message });
      return null;
    }
  }
}

const validationMetrics = (result: Validation | null) =>
  result === null ? {} : { val_loss: result.loss, val_bits_per_byte: result.bitsPerByte };
