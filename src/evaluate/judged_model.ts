/** @file A model as evaluation sees it: likelihoods of texts and greedy or sampled answers, whatever the weights came from. */
import type { Tokenizer } from "../data/tokenizer.ts";
import { Decoder } from "../generate/decoder.ts";
import { Generator } from "../generate/generator.ts";
import { generateText } from "../generate/text_generation.ts";
import type { LanguageModel } from "../nn/language_model.ts";
import type { Precision } from "../nn/trace.ts";
import type { Device } from "../runtime/index.ts";
import type { Engine } from "../train/engine.ts";
import { ConfigError, DataError, UserError } from "../util/errors.ts";
import type { ScoredText } from "./packing.ts";
import type { LikelihoodRequest } from "./requests.ts";
import { Scorer, scoringShape } from "./scorer.ts";

export interface JudgedModelParts {
  readonly device: Device;
  readonly model: LanguageModel;
  readonly tokenizer: Tokenizer;
  readonly precision: Precision;
  /** Puts the weights into an engine's states, or the engine that holds them. */
  readonly weights: ((engine: Engine) => void) | Engine;
}

export interface Likelihood {
  /** Natural logarithm of the probability of all judged tokens. */
  readonly logprob: number;
  readonly greedy: boolean;
  readonly tokens: number;
}

export interface AnswerOptions {
  readonly until: readonly string[];
  readonly maxTokens: number;
  readonly temperature: number;
  readonly seed: number;
}

export interface Watch {
  /** Called with how many of how many requests are done. */
  readonly onProgress?: (done: number, all: number) => void;
  readonly signal?: AbortSignal;
}

const ROWS = 8;

const sharedBy = (weights: JudgedModelParts["weights"]) =>
  typeof weights === "function" ? {} : { shared: weights };

export class JudgedModel {
  readonly tokenizer: Tokenizer;
  /** Computed tokens and those that were no padding, over all likelihoods. */
  readonly counts = { computed: 0, used: 0 };
  private readonly parts: JudgedModelParts;

  constructor(parts: JudgedModelParts) {
    this.parts = parts;
    this.tokenizer = parts.tokenizer;
    const { vocabSize, name } = parts.tokenizer;
    if (vocabSize > parts.model.vocabSize)
      throw new ConfigError(
        `the tokenizer ${name} has ${vocabSize} tokens, the model's embedding ${parts.model.vocabSize}`,
      );
  }

  get context(): number {
    return this.parts.model.blockSize;
  }

  /** In the order of the requests. */
  async likelihoods(
    requests: readonly LikelihoodRequest[],
    watch: Watch = {},
  ): Promise<Likelihood[]> {
    const texts: ScoredText[] = [];
    const owners = requests.map((request) => {
      const windows = this.windows(request);
      texts.push(...windows);
      return windows.length;
    });
    const scores = await this.scoreTexts(texts, watch);
    let at = 0;
    return owners.map((count) => {
      const own = scores.slice(at, at + count);
      at += count;
      const sum = (xs: Float32Array): number => xs.reduce((a, b) => a + b, 0);
      return {
        logprob: own.reduce((total, { logprobs }) => total + sum(logprobs), 0),
        greedy: own.every(({ greedy }) => greedy),
        tokens: own.reduce((total, { logprobs }) => total + logprobs.length, 0),
      };
    });
  }

  async scoreTexts(texts: readonly ScoredText[], { onProgress, signal }: Watch = {}) {
    if (texts.length === 0) return [];
    const { device, model, precision, weights } = this.parts;
    const shape = scoringShape(texts, this.context);
    const scorer = new Scorer(device, model, { ...shape, precision, ...sharedBy(weights) });
    try {
      if (typeof weights === "function") weights(scorer.engine);
      const scores = await scorer.score(texts, (done) => onProgress?.(done, texts.length), signal);
      signal?.throwIfAborted();
      this.counts.computed += scorer.counts.computed;
      this.counts.used += scorer.counts.used;
      return scores;
    } finally {
      scorer.free();
    }
  }

  /** Answers in the order of the prompts, cut before the first stop string. */
  async answers(prompts: readonly string[], options: AnswerOptions, watch: Watch = {}) {
    const { device, model, precision, weights, tokenizer } = this.parts;
    const room = this.context - options.maxTokens;
    if (room <= 0)
      throw new ConfigError(
        `answers of ${options.maxTokens} tokens leave no room for a prompt in a context of ${this.context}`,
        { hint: "lower max_gen_toks in the task's generation_kwargs" },
      );
    // The end of a prompt is the question: what does not fit is cut from its beginning.
    const tokens = prompts.map((prompt) => this.encode(prompt).slice(-room));
    const places = Math.max(1, ...tokens.map((ids) => ids.length)) + options.maxTokens;
    const rows = Math.min(ROWS, Math.max(1, prompts.length));
    const decoder = new Decoder(device, model, {
      ...{ rows, places, precision },
      ...sharedBy(weights),
    });
    try {
      if (typeof weights === "function") weights(decoder.engine);
      const generator = new Generator(decoder, tokenizer.vocabSize);
      const { eos } = tokenizer.special;
      let done = 0;
      const { until: stop, maxTokens, temperature, seed } = options;
      const sampling = { temperature, topK: 0, seed };
      const all = tokens.map(async (prompt, answer) => {
        const { text } = await generateText(generator, tokenizer, {
          ...{ prompt, maxTokens, sampling, answer, stop },
          stopIds: new Set(eos === undefined ? [] : [eos]),
          ...(watch.signal === undefined ? {} : { signal: watch.signal }),
        });
        watch.onProgress?.(++done, prompts.length);
        return text;
      });
      const texts = await Promise.all(all);
      watch.signal?.throwIfAborted();
      return texts;
    } finally {
      decoder.free();
    }
  }

  /** The token before a text that has nothing before it. */
  prefix(): number {
    const { bos, eos } = this.tokenizer.special;
    const prefix = bos ?? eos;
    if (prefix !== undefined) return prefix;
    const [newline] = this.tokenizer.encode("\n");
    if (newline !== undefined) return newline;
    throw new UserError(`the tokenizer ${this.tokenizer.name} has no token to begin a text with`, {
      code: "config",
    });
  }

  private encode(text: string): number[] {
    return Array.from(this.tokenizer.encode(text, { addSpecial: true, parseSpecial: true }));
  }

  /** As lm-evaluation-harness cuts them: what does not fit the context is cut from the beginning, or judged in windows. */
  private windows({ context, continuation }: LikelihoodRequest): ScoredText[] {
    if (context === null) return this.rolling(this.encode(continuation));
    const { given, judged } = this.pair(context, continuation);
    const room = this.context;
    if (judged.length === 0)
      throw new DataError(`the text ${JSON.stringify(continuation)} has no tokens to judge`);
    if (judged.length > room)
      throw new DataError(
        `a text of ${judged.length} tokens does not fit the context of ${room} tokens`,
      );
    const tokens = [...given, ...judged].slice(-(room + 1));
    return [{ tokens, scored: judged.length }];
  }

  private pair(context: string, continuation: string) {
    if (context === "") {
      const judged = this.encode(continuation);
      const prefix = this.prefix();
      return judged[0] === prefix && judged.length > 1
        ? { given: judged.slice(0, 1), judged: judged.slice(1) }
        : { given: [prefix], judged };
    }
    // Spaces that end the context belong to the continuation's first token.
    const head = context.trimEnd();
    const tail = context.slice(head.length) + continuation;
    const whole = this.encode(head + tail);
    const given = this.encode(head);
    return given.length === 0
      ? { given: [this.prefix()], judged: whole }
      : { given, judged: whole.slice(given.length) };
  }

  /** Windows whose judged tokens do not overlap; the last one sees as much of what came before as fits. */
  private rolling(tokens: readonly number[]): ScoredText[] {
    const windows: ScoredText[] = [];
    const all = [this.prefix(), ...tokens];
    const room = this.context;
    for (let done = 0; done < tokens.length; ) {
      const scored = Math.min(room, tokens.length - done);
      const end = done + scored + 1;
      windows.push({ tokens: all.slice(Math.max(0, end - 1 - room), end), scored });
      done += scored;
    }
    return windows;
  }
}
