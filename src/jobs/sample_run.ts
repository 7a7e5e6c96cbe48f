/** @file Text from a trained run: one continuation, or several of several prompts, worked on together. */
import type { SamplingOptions } from "../generate/choose_token.ts";
import { type GeneratedText, generateText, promptTokens } from "../generate/text_generation.ts";
import type { Precision } from "../nn/trace.ts";
import { openTextModel } from "./text_model.ts";
import type { RunSource } from "./trained_run.ts";

export interface SampleRequest extends RunSource, SamplingOptions {
  readonly prompt: string;
  /** At most so many; beyond the model's context the older half of the text is forgotten. */
  readonly maxTokens: number;
  readonly stop?: readonly string[];
  readonly onText?: (text: string) => void;
  readonly signal?: AbortSignal;
}

export interface SamplesRequest extends Omit<SampleRequest, "prompt" | "onText"> {
  readonly prompts: readonly string[];
  /** Answers to each prompt, which differ as their draws do. */
  readonly answers: number;
  /** Most texts in the making at a time. */
  readonly batch: number;
  /** Absent: as the run was trained. */
  readonly precision?: Precision;
  /** Tokens that are looked back on; absent: as many as the model takes, and at most 4096. */
  readonly context?: number;
  readonly onText?: (text: string) => void;
  /** Called as texts are finished, in whatever order. */
  readonly onSample?: (sample: Sample) => void;
}

export interface Sample {
  /** Index of the prompt, and which of its answers it is. */
  readonly prompt: number;
  readonly answer: number;
  readonly text: string;
  readonly tokens: number;
  readonly reason: GeneratedText["reason"];
}

/** Prompt by prompt, answer by answer. No text depends on the others. */
export async function sampleTexts(request: SamplesRequest): Promise<Sample[]> {
  const { prompts, answers, batch, maxTokens, onText, onSample } = request;
  const wanted = prompts.flatMap((_, prompt) =>
    Array.from({ length: answers }, (_, answer) => ({ prompt, answer })),
  );
  const rows = Math.max(1, Math.min(batch, wanted.length));
  const model = await openTextModel(request, {
    ...{ rows, ...defined({ precision: request.precision, context: request.context }) },
  });
  try {
    const { tokenizer, generator, stopIds } = model;
    const { temperature, topK, topP, minP, repetitionPenalty, seed, stop, signal } = request;
    const given = { topP, minP, repetitionPenalty };
    const sampling = { temperature, topK, seed, ...defined(given) };
    const write = async ({ prompt, answer }: (typeof wanted)[number]): Promise<Sample> => {
      const { text, tokens, reason } = await generateText(generator, tokenizer, {
        prompt: promptTokens(tokenizer, prompts[prompt] ?? ""),
        ...{ maxTokens, sampling, answer, stopIds, whenFull: "forget" },
        ...defined({ stop, signal, onText }),
      });
      const sample = { prompt, answer, text, tokens: tokens.length, reason };
      onSample?.(sample);
      return sample;
    };
    return await Promise.all(wanted.map(write));
  } finally {
    model.close();
  }
}

/** One continuation, without the prompt. */
export async function sampleRun({ prompt, ...request }: SampleRequest): Promise<string> {
  const [sample] = await sampleTexts({ ...request, prompts: [prompt], answers: 1, batch: 1 });
  return sample?.text ?? "";
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Without the entries that are undefined. */
function defined<T extends object>(entries: T): Defined<T> {
  return Object.fromEntries(
    Object.entries(entries).filter(([, value]) => value !== undefined),
  ) as Defined<T>;
}
