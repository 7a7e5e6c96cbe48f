/**
 * @file Many answers at once on one decoder. Requests wait for a free row of the cache; every turn puts prompts into the
 * cache, then takes one token further all rows that are ready (continuous batching). A row's tokens stay in the cache after its answer,
 * so that a prompt that begins alike (the next turn of a chat) starts behind them. Batching changes no bit of any answer.
 */
import { UserError } from "../util/errors.ts";
import { chooseToken, type SamplingOptions } from "./choose_token.ts";
import type { Decoder, Piece } from "./decoder.ts";

export interface GenerationRequest {
  /** At least one token. */
  readonly prompt: readonly number[];
  /** Null: until the context is full. */
  readonly maxTokens: number | null;
  readonly sampling: SamplingOptions;
  /** Which answer of the same seed; default 0. */
  readonly answer?: number;
  /** Tokens that end the answer and do not belong to it. */
  readonly stopIds?: ReadonlySet<number>;
  /** Whether a full context is the end (default), or its older half is forgotten and the answer goes on. */
  readonly whenFull?: "stop" | "forget";
  readonly signal?: AbortSignal;
  /** Called with each token; true ends the answer after it. */
  readonly onToken?: (id: number) => boolean;
}

export interface Generated {
  readonly tokens: readonly number[];
  /** stop: a stop token, or onToken's wish; length: maxTokens or the end of the context. */
  readonly reason: "stop" | "length" | "cancelled";
  /** Tokens of the prompt that the cache held already. */
  readonly cachedTokens: number;
}

export class PromptTooLong extends UserError {
  constructor(tokens: number, context: number) {
    super(`the prompt has ${tokens} tokens, and the context with its answer holds ${context}`, {
      code: "config",
      hint: "shorten it, or give a larger --context where the model takes one",
    });
  }
}

interface Task {
  readonly request: GenerationRequest;
  readonly resolve: (result: Generated) => void;
  readonly reject: (error: unknown) => void;
  /** Prompt and answer, less what was forgotten. */
  window: number[];
  readonly made: number[];
  cachedTokens: number;
}

interface Row {
  readonly index: number;
  /** The tokens whose keys and values the cache holds. */
  cached: number[];
  task: Task | null;
  /** Turn of its last use. */
  used: number;
}

const pending = ({ cached, task }: Row): number => (task?.window.length ?? 0) - cached.length;

export class Generator {
  private readonly decoder: Decoder;
  private readonly vocabSize: number;
  private readonly rows: readonly Row[];
  private readonly queue: Task[] = [];
  private turn = 0;
  private running: Promise<void> | null = null;
  private failure: unknown = null;

  /** Only tokens below `vocabSize` are drawn: a model may have more logits than its tokenizer has tokens. */
  constructor(decoder: Decoder, vocabSize: number = decoder.vocabSize) {
    this.decoder = decoder;
    this.vocabSize = Math.min(vocabSize, decoder.vocabSize);
    this.rows = Array.from({ length: decoder.rows }, (_, index) => ({
      ...{ index, cached: [], task: null, used: 0 },
    }));
  }

  /** Tokens that a prompt and its answer may have together. */
  get places(): number {
    return this.decoder.places;
  }

  /** Answers in the making, and requests that wait for a row. */
  get load(): { readonly active: number; readonly waiting: number } {
    const active = this.rows.filter(({ task }) => task !== null).length;
    return { active, waiting: this.queue.length };
  }

  /** Throws where the request cannot be served; else the answer comes in time. */
  generate(request: GenerationRequest): Promise<Generated> {
    this.check(request);
    if (this.failure !== null) return Promise.reject(this.failure);
    return new Promise((resolve, reject) => {
      const window = [...request.prompt];
      this.queue.push({ request, resolve, reject, window, made: [], cachedTokens: 0 });
      this.running ??= this.serve();
    });
  }

  /** When nothing is left to do. */
  async idle(): Promise<void> {
    await this.running;
  }

  /** Throws where the request could not be served, whatever else goes on. */
  check({ prompt, maxTokens, sampling }: GenerationRequest): void {
    const fail = (message: string): never => {
      throw new UserError(message, { code: "config" });
    };
    if (prompt.length === 0) fail("the prompt has no tokens; give it at least one");
    if (prompt.length >= this.places) throw new PromptTooLong(prompt.length, this.places);
    const unknown = prompt.find((id) => !(id >= 0 && id < this.decoder.vocabSize));
    if (unknown !== undefined)
      fail(`token ${unknown} of the prompt is outside the vocabulary of ${this.decoder.vocabSize}`);
    if (maxTokens !== null && !(maxTokens >= 1)) fail(`expected max tokens >= 1, got ${maxTokens}`);
    const { temperature, topK, topP = 1, minP = 0, repetitionPenalty = 1 } = sampling;
    const sound = (ok: boolean, name: string, range: string, got: number) =>
      ok || fail(`${name}: expected ${range}, got ${got}`);
    sound(temperature >= 0 && temperature < Infinity, "temperature", "a number >= 0", temperature);
    sound(Number.isInteger(topK) && topK >= 0, "top_k", "an integer >= 0", topK);
    sound(topP > 0 && topP <= 1, "top_p", "a number in (0, 1]", topP);
    sound(minP >= 0 && minP <= 1, "min_p", "a number in [0, 1]", minP);
    const penalty = repetitionPenalty > 0 && repetitionPenalty < Infinity;
    sound(penalty, "repetition_penalty", "a number > 0", repetitionPenalty);
  }

  private async serve(): Promise<void> {
    // Not before `running` is set.
    await Promise.resolve();
    try {
      for (this.admit(); this.load.active > 0; this.admit()) {
        this.turn++;
        await this.readPrompts();
        await this.takeStep();
        // A model that is quicker than a millisecond must not keep everybody else waiting.
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
    } catch (error) {
      // The device's state is not to be trusted any more: nobody gets an answer.
      this.failure = error;
      for (const { task } of this.rows) task?.reject(error);
      for (const task of this.queue.splice(0)) task.reject(error);
    } finally {
      this.running = null;
    }
  }

  /** Gives free rows to those that wait, the row whose cache begins most like the prompt first. */
  private admit(): void {
    for (const row of this.rows)
      if (row.task?.request.signal?.aborted === true) this.end(row, row.task, "cancelled");
    while (this.queue.length > 0) {
      const free = this.rows.filter(({ task }) => task === null);
      const [task] = this.queue;
      if (task === undefined || free.length === 0) return;
      this.queue.shift();
      if (task.request.signal?.aborted === true) {
        task.resolve({ tokens: [], reason: "cancelled", cachedTokens: 0 });
        continue;
      }
      const shared = new Map(free.map((row) => [row, sharedTokens(row.cached, task.window)]));
      const [row] = free.toSorted(
        (x, y) => (shared.get(y) ?? 0) - (shared.get(x) ?? 0) || x.used - y.used,
      );
      if (row === undefined) return;
      // At least one token must run, for the logits after it.
      task.cachedTokens = Math.min(shared.get(row) ?? 0, task.window.length - 1);
      row.cached = row.cached.slice(0, task.cachedTokens);
      row.task = task;
    }
  }

  /** One run for prompts that are not in the cache up to their last token, oldest first. */
  private async readPrompts(): Promise<void> {
    const waiting = this.rows
      .filter((row) => pending(row) > 1)
      .toSorted((x, y) => x.used - y.used || x.index - y.index);
    if (waiting.length === 0) return;
    const plan = this.decoder.plan(waiting.map(pending));
    await this.advance(waiting.slice(0, plan.rows), plan.tokens);
  }

  /** One token further for every row whose other tokens are all in the cache. */
  private async takeStep(): Promise<void> {
    const ready = this.rows.filter((row) => pending(row) === 1);
    if (ready.length > 0) await this.advance(ready, 1);
  }

  private async advance(rows: readonly Row[], tokens: number): Promise<void> {
    const pieces = rows.map(({ index, cached, task }): Piece => {
      const start = cached.length;
      return { row: index, start, tokens: task?.window.slice(start, start + tokens) ?? [] };
    });
    const all = await this.decoder.run(pieces);
    rows.forEach((row, i) => {
      row.used = this.turn;
      row.cached.push(...(pieces[i]?.tokens ?? []));
      const logits = all[i];
      if (row.task !== null && logits !== undefined && pending(row) === 0)
        this.choose(row, row.task, logits.subarray(0, this.vocabSize));
    });
  }

  private choose(row: Row, task: Task, logits: Float32Array): void {
    try {
      const reason = this.next(task, logits);
      if (reason !== null) {
        this.end(row, task, reason);
      } else if (task.window.length > this.places) {
        task.window = task.window.slice(-Math.max(1, Math.floor(this.places / 2)));
        row.cached = [];
      }
    } catch (error) {
      // What led here need not be sound for anybody else.
      row.task = null;
      row.cached = [];
      task.reject(error);
    }
  }

  /** Takes the answer one token further; why it ends there, or null. */
  private next({ request, window, made }: Task, logits: Float32Array): Generated["reason"] | null {
    if (request.signal?.aborted === true) return "cancelled";
    const position = request.prompt.length + made.length;
    const draw = { position, answer: request.answer ?? 0, before: window };
    const id = chooseToken(logits, request.sampling, draw);
    if (request.stopIds?.has(id) === true) return "stop";
    made.push(id);
    window.push(id);
    if (request.onToken?.(id) === true) return "stop";
    const isFull = request.whenFull !== "forget" && window.length > this.places;
    return isFull || made.length === (request.maxTokens ?? Infinity) ? "length" : null;
  }

  private end(row: Row, task: Task, reason: Generated["reason"]): void {
    row.task = null;
    task.resolve({ tokens: task.made, reason, cachedTokens: task.cachedTokens });
  }
}

function sharedTokens(cached: readonly number[], prompt: readonly number[]): number {
  const different = prompt.findIndex((id, i) => id !== cached[i]);
  return different === -1 ? prompt.length : different;
}
