/**
 * @file The Quick API: a run from a script. It is the same run that `theseus run` makes of the same configuration, to the
 * bit and to the file; what the script adds is that it may look between the steps.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keepUserCode } from "./cli/user_code.ts";
import type { Config } from "./config/config.ts";
import { writeYaml } from "./config/write.ts";
import type { SamplingOptions } from "./generate/choose_token.ts";
import { configSource, expectTraining, loadJob } from "./jobs/load_job.ts";
import { type ConfigOf, jobNamed, type KnownJobs } from "./jobs/registry.ts";
import { sampleRun } from "./jobs/sample_run.ts";
import { validateRun } from "./jobs/validate_run.ts";
import { LiveConfig } from "./quick/live_config.ts";
import { type Hardware, saveRunConfig } from "./quick/save.ts";
import { StepChannel } from "./quick/step_channel.ts";
import type { Job } from "./train/job.ts";
import type { StepMetrics } from "./train/metrics.ts";
import type { Progress, RunFinished } from "./train/progress.ts";
import { type Inside, runTraining } from "./train/run.ts";
import { type RunPlace, runPath } from "./train/run_directory.ts";
import type { Validation } from "./train/validate.ts";
import { ConfigError, UserError } from "./util/errors.ts";

export interface QuickOptions {
  readonly name: string;
  /** Where runs are kept; default: THESEUS_ROOT, else ./theseus-out. */
  readonly root?: string;
  readonly project?: string;
  readonly group?: string;
  /** Moves an older run of that name aside instead of failing. */
  readonly fresh?: boolean;
  /** A YAML file or a preset to start from instead of the defaults. */
  readonly from?: string;
  /** Ends a run at the next step boundary. */
  readonly signal?: AbortSignal;
}

export interface QuickSampleOptions extends Partial<SamplingOptions> {
  readonly maxTokens?: number;
  readonly onText?: (text: string) => void;
  readonly signal?: AbortSignal;
}

/** A configuration whose job is known only when the script runs. */
export interface AnyConfigTree {
  // biome-ignore lint/suspicious/noExplicitAny: its settings are checked when they are assigned.
  [key: string]: any;
}

const SAMPLING = { maxTokens: 400, temperature: 0.8, topK: 0, seed: 0 };

/** Set by `theseus script`, whose Ctrl-C ends the run at hand and lets no further one start. */
let everyRunsSignal: AbortSignal | undefined;

export function endRunsOn(signal: AbortSignal): void {
  everyRunsSignal = signal;
}

export class QuickRun<C = AnyConfigTree> implements AsyncDisposable {
  readonly job: Job;
  readonly place: RunPlace;
  /** Settings to read and assign; an assignment that is wrong throws a ConfigError and sets nothing. */
  readonly config: C;
  private readonly settings: LiveConfig;
  private readonly options: QuickOptions;
  private readonly stop = new AbortController();
  private running: Promise<RunFinished> | undefined;
  private outcome: RunFinished | undefined;
  private ended = false;
  private channel: StepChannel<StepMetrics> | undefined;
  private inside: Inside | undefined;
  /** A validation or sample between two steps; the run goes on after it. */
  private looking: Promise<unknown> = Promise.resolve();

  constructor(job: Job, place: RunPlace, settings: LiveConfig, options: QuickOptions) {
    this.job = job;
    this.place = place;
    this.settings = settings;
    this.options = options;
    this.config = settings.tree as C;
  }

  /** The run directory. */
  get directory(): string {
    return runPath(this.place);
  }

  /** How the run ended; undefined until then. */
  get result(): RunFinished | undefined {
    return this.outcome;
  }

  /** Trains to the end. */
  async train(): Promise<RunFinished> {
    return this.start();
  }

  /** Trains, and gives the metrics of each step. Leaving the loop ends the run after the step that it saw. */
  async *[Symbol.asyncIterator](): AsyncGenerator<StepMetrics, void, void> {
    const channel = new StepChannel<StepMetrics>();
    const running = this.start(channel);
    this.channel = channel;
    const close = () => channel.close();
    running.then(close, close);
    try {
      for (;;) {
        const metrics = await channel.take();
        if (metrics === undefined) break;
        yield metrics;
      }
    } finally {
      await this.end();
    }
  }

  /** Loss and bits per byte over the held-out text, with the weights of the last step. */
  validate(): Promise<Validation> {
    return this.look(
      (inside) => inside.validate(),
      () => validateRun({ runDirectory: this.directory }),
    );
  }

  /** Continues a prompt with the weights of the last step; returns the continuation. */
  sample(prompt: string, options: QuickSampleOptions = {}): Promise<string> {
    const request = { ...SAMPLING, ...options, prompt, runDirectory: this.directory };
    return this.look(
      async (inside) => {
        const folder = mkdtempSync(join(tmpdir(), "theseus-sample-"));
        try {
          const weights = join(folder, "model.safetensors");
          inside.saveWeights(weights);
          return await sampleRun({ ...request, weights });
        } finally {
          rmSync(folder, { recursive: true });
        }
      },
      () => sampleRun(request),
    );
  }

  /** Writes the complete configuration as YAML, for `theseus run` and `theseus submit`. */
  async save(path: string, hardware: Hardware = {}): Promise<void> {
    saveRunConfig(path, this.job, this.settings, hardware);
  }

  /** Ends a run that is going on, at its step boundary. */
  async [Symbol.asyncDispose](): Promise<void> {
    // How an ended run ended has been told to whoever waited for it.
    if (!this.ended) await this.end();
  }

  private async end(): Promise<void> {
    this.stop.abort();
    this.channel?.close();
    await this.running;
  }

  private start(channel?: StepChannel<StepMetrics>): Promise<RunFinished> {
    const { name } = this.place;
    if (this.running !== undefined)
      throw new UserError(`the run ${name} has ${this.ended ? "ended" : "started"} already`, {
        code: "conflict",
        hint: "make another run with quick(...)",
      });
    if (everyRunsSignal?.aborted === true)
      throw new UserError(`interrupted before the run ${name}`, { code: "interrupted" });
    // Settings that are missing can be set, and the run started then.
    const config = this.settings.toConfig();
    this.settings.fixed = true;
    this.running = this.runNow(config, channel).finally(() => {
      this.ended = true;
    });
    return this.running;
  }

  private async runNow(
    config: Config,
    channel: StepChannel<StepMetrics> | undefined,
  ): Promise<RunFinished> {
    const signals = [this.stop.signal, this.options.signal, everyRunsSignal];
    const onProgress = async (event: Progress): Promise<void> => {
      if (event.kind === "started") keepUserCode(event.directory);
      if (event.kind !== "step") return;
      await channel?.put(event.metrics);
      await this.looking;
    };
    this.outcome = await runTraining({
      job: this.job,
      config,
      place: this.place,
      sourceText: writeYaml(this.job.schema, config, `${this.job.name}: ${this.job.doc}`),
      fresh: this.options.fresh ?? false,
      signal: AbortSignal.any(signals.filter((signal) => signal !== undefined)),
      onProgress,
      ...(channel === undefined ? {} : { stepwise: (inside) => (this.inside = inside) }),
    });
    return this.outcome;
  }

  /** Looks into the run between two steps, or at its files when it is over. */
  private async look<T>(
    within: (inside: Inside) => Promise<T>,
    after: () => Promise<T>,
  ): Promise<T> {
    const { inside, channel } = this;
    if (this.running === undefined || this.ended) return after();
    if (inside === undefined || channel?.paused !== true)
      throw new UserError(`the run ${this.place.name} is computing`, {
        code: "conflict",
        hint: "look at it inside `for await (const step of run)`, or when it has ended",
      });
    // One after another: they share the engine.
    const result = this.looking.then(() => within(inside));
    this.looking = result.catch(() => {});
    return result;
  }
}

/** A run by its job's name, or by a job that `job(...)` returned. Nothing is computed or written before it starts. */
export function quick<N extends keyof KnownJobs>(
  job: N,
  options: QuickOptions,
): Promise<QuickRun<ConfigOf<KnownJobs[N]>>>;
export function quick<J extends Job>(job: J, options: QuickOptions): Promise<QuickRun<ConfigOf<J>>>;
export function quick(job: string, options: QuickOptions): Promise<QuickRun>;
export async function quick(which: string | Job, options: QuickOptions): Promise<QuickRun> {
  const job = expectTraining(typeof which === "string" ? jobNamed(which) : which);
  const { name, project = "general", group = "default", from } = options;
  const root = options.root ?? process.env.THESEUS_ROOT ?? "theseus-out";
  const place = { root, project, group, name };
  // Refuses a bad name before anything is configured.
  runPath(place);
  const start = from === undefined ? undefined : loadJob(configSource(from));
  if (start !== undefined && start.job !== job)
    throw new ConfigError(`${from} configures ${start.job.name}, not ${job.name}`);
  return new QuickRun(job, place, new LiveConfig(job.schema, start?.config), options);
}
