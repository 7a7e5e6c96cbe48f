/**
 * @file The training loop. Step n + 1 is prepared and queued while step n computes, so a step's loss is read one step late.
 * What is computed depends on the configuration alone, never on timing.
 */
import { type Batch, newBatch, type TrainLoader, type ValidationLoader } from "../data/loader.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { learningRate, type ScheduleOptions } from "../optim/schedule.ts";
import { UserError } from "../util/errors.ts";
import type { Checkpointer, RunState } from "./checkpointer.ts";
import type { Engine, Run } from "./engine.ts";
import type { StepMetrics } from "./metrics.ts";
import type { Progress } from "./progress.ts";
import { Rates } from "./rates.ts";
import { type Validation, validateOn } from "./validate.ts";

export interface TrainerOptions {
  readonly steps: number;
  readonly rows: number;
  readonly length: number;
  readonly accumulate: number;
  readonly schedule: ScheduleOptions;
  /** Steps between validations; 0: only at the end. */
  readonly validateEvery: number;
  readonly flopsPerToken: number;
  readonly peakFlops: number | null;
  /** Where the run stood when its last attempt ended; absent: at the start. */
  readonly from?: RunState;
  /** Counts from 1. */
  readonly attempt: number;
}

export interface TrainerParts {
  readonly engine: Engine;
  readonly train: TrainLoader;
  readonly validation: ValidationLoader;
  readonly tokenizer: Tokenizer;
  readonly metrics: { write(metrics: StepMetrics): void };
  readonly checkpoints: Checkpointer;
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

/** A step whose results have not been read yet. */
interface Pending {
  readonly index: number;
  readonly learningRate: number;
  readonly update: Run;
}

export class Trainer {
  private readonly options: TrainerOptions;
  private readonly parts: TrainerParts;
  private readonly rates = new Rates();
  private tokens: number;
  private loss: number;
  private validated: { readonly step: number; readonly result: Validation } | null = null;
  private readonly began = performance.now();
  private lastRead = this.began;
  /** Refilled for every run: starting one copies its inputs. */
  private readonly batch: Batch;
  private readonly samples: Uint32Array;

  constructor(options: TrainerOptions, parts: TrainerParts) {
    this.options = options;
    this.parts = parts;
    this.tokens = options.from?.tokens ?? 0;
    this.loss = options.from?.loss ?? Number.NaN;
    this.batch = newBatch(options.rows, options.length);
    this.samples = new Uint32Array(options.rows);
  }

  async run(): Promise<TrainResult> {
    const { steps } = this.options;
    let pending: Pending | undefined;
    let done = this.options.from?.step ?? 0;
    for (let index = done; index < steps && !this.stopping; index++) {
      const next = await this.startStep(index);
      done = index + 1;
      if (pending !== undefined) await this.finishStep(pending);
      pending = next;
      if (this.parts.stepwise === true || this.validatesAfter(done) || this.savesAfter(done)) {
        await this.finishStep(pending);
        pending = undefined;
      }
      // Lets signals and timers run: nothing above is obliged to wait.
      await new Promise(setImmediate);
    }
    if (pending !== undefined) await this.finishStep(pending);
    await this.save(done);
    const { loss, validated } = this;
    const reason = done < steps ? "interrupted" : "finished";
    const validation = validated?.step === done ? validated.result : null;
    return { reason, step: done, loss, validation, elapsedSeconds: this.elapsed() };
  }

  private get stopping(): boolean {
    return this.parts.signal?.aborted === true;
  }

  private elapsed(): number {
    return (this.options.from?.elapsed_s ?? 0) + (performance.now() - this.began) / 1000;
  }

  private savesAfter(done: number): boolean {
    return this.parts.checkpoints.dueAfter(done);
  }

  /** Nothing may be in flight. */
  private async save(step: number): Promise<void> {
    const { checkpoints, engine } = this.parts;
    await engine.finish();
    const { tokens, loss } = this;
    const { attempt } = this.options;
    const best = checkpoints.bestSoFar;
    await checkpoints.save({ step, tokens, loss, elapsed_s: this.elapsed(), attempt, best });
  }

  private validatesAfter(done: number): boolean {
    const { steps, validateEvery } = this.options;
    if (this.stopping) return false;
    return done === steps || (validateEvery > 0 && done % validateEvery === 0);
  }

  /** Queues the micro-batches and the update of one step. */
  private async startStep(index: number): Promise<Pending> {
    const { rows, accumulate, schedule, steps } = this.options;
    const { engine, train } = this.parts;
    const { batch, samples } = this;
    for (let micro = 0; micro < accumulate; micro++) {
      const first = (index * accumulate + micro) * rows;
      train.fill(batch, first);
      for (let row = 0; row < rows; row++) samples[row] = first + row;
      const inputs = { ...batch, step: index, sample: samples };
      await engine.start(micro === 0 ? "micro" : "micro_add", inputs);
    }
    const rate = learningRate(schedule, index, steps);
    const update = await engine.start("update", { learning_rate: rate, step: index + 1 });
    return { index, learningRate: rate, update };
  }

  /** Reads a step's results, validates if it is time, writes the metrics. */
  private async finishStep({ index, learningRate: rate, update }: Pending): Promise<void> {
    const read = async (name: string) => Number(await update.output(name));
    this.loss = await read("loss");
    const gradNorm = await read("grad_norm");
    const tokens = await read("tokens");
    const applied = await read("applied");
    this.tokens += tokens;
    const now = performance.now();
    const seconds = (now - this.lastRead) / 1000;
    const typical = this.rates.add(seconds);
    const step = index + 1;
    // Before the validation, whose failure then loses nothing.
    if (applied !== 0 && this.savesAfter(step)) await this.save(step);
    const validation =
      applied !== 0 && this.validatesAfter(step) ? await this.validate(step) : null;
    this.lastRead = performance.now();
    const { flopsPerToken, peakFlops, steps } = this.options;
    const perSecond = tokens / seconds;
    const metrics: StepMetrics = {
      step,
      tokens: this.tokens,
      loss: this.loss,
      learning_rate: rate,
      grad_norm: gradNorm,
      tokens_per_s: perSecond,
      mfu: peakFlops === null ? null : (perSecond * flopsPerToken) / peakFlops,
      elapsed_s: this.elapsed(),
      attempt: this.options.attempt,
      ...(validation === null
        ? {}
        : { val_loss: validation.loss, val_bits_per_byte: validation.bitsPerByte }),
    };
    this.parts.metrics.write(metrics);
    const etaSeconds = (steps - step) * typical;
    await this.parts.onProgress({ kind: "step", metrics, steps, etaSeconds });
    if (this.parts.stepwise === true) this.lastRead = performance.now();
    if (applied === 0)
      throw new UserError(
        `step ${step}: the norm of the gradient is ${gradNorm} (loss ${this.loss}); the weights are those of step ${index}`,
        { code: "run_failed", hint: "a lower training.learning_rate or a longer warm-up may help" },
      );
  }

  private async validate(step: number): Promise<Validation> {
    const { engine, validation, tokenizer } = this.parts;
    const result = await validateOn(engine, validation, tokenizer, this.batch);
    this.validated = { step, result };
    this.parts.checkpoints.noteValidation(step, result.loss);
    return result;
  }
}
