/** @file Answers to OpenAI's requests: whole, or as events while they are made. */
import type { Tokenizer } from "../../data/tokenizer.ts";
import type { TurnEnd } from "../chat_prompt.ts";
import type { Generator } from "../generator.ts";
import { type GeneratedText, generateText } from "../text_generation.ts";
import type { AnswerRequest } from "./read_request.ts";

export interface ServedModel {
  readonly tokenizer: Tokenizer;
  readonly generator: Generator;
  readonly stopIds: ReadonlySet<number>;
}

/** One kind of answer: how whole answers, pieces and ends of choices look. */
export interface AnswerForm {
  readonly idPrefix: string;
  readonly object: string;
  readonly chunkObject: string;
  choice(index: number, text: string, reason: string): object;
  /** Before the first piece of a choice; null: nothing. */
  begin(index: number): object | null;
  piece(index: number, text: string): object;
  end(index: number, reason: string): object;
}

export interface Job {
  readonly request: AnswerRequest;
  readonly form: AnswerForm;
  readonly prompts: readonly (readonly number[])[];
  /** Text before the answer to each prompt, where it is echoed. */
  readonly heads: readonly string[];
  readonly end: TurnEnd;
}

interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}

const reasonOf = ({ reason }: GeneratedText): string => (reason === "length" ? "length" : "stop");

/** What generation is asked for each choice; the n answers to a prompt follow each other. */
function requestsOf(model: ServedModel, job: Job, signal: AbortSignal) {
  const { maxTokens, sampling, answers, stop } = job.request;
  const stopIds = new Set([...model.stopIds, ...job.end.ids]);
  return job.prompts.flatMap((prompt, at) =>
    Array.from({ length: answers }, (_, answer) => ({
      head: job.heads[at] ?? "",
      request: {
        ...{ prompt, maxTokens, sampling, answer, stopIds, signal },
        stop: [...stop, ...job.end.texts],
      },
    })),
  );
}

function usageOf(job: Job, results: readonly GeneratedText[]): Usage {
  const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
  const prompt = sum(job.prompts.map(({ length }) => length));
  const completion = sum(results.map(({ tokens }) => tokens.length));
  const { answers } = job.request;
  const cached = sum(results.filter((_, i) => i % answers === 0).map((r) => r.cachedTokens));
  return {
    ...{ prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion },
    prompt_tokens_details: { cached_tokens: cached },
  };
}

const headOf = ({ request, form }: Job, object: string) => ({
  id: `${form.idPrefix}-${crypto.randomUUID().replaceAll("-", "")}`,
  object,
  created: Math.floor(Date.now() / 1000),
  model: request.model,
});

/** Throws what makes the request impossible, before anything is answered. */
export function checkJob(model: ServedModel, job: Job): void {
  const { signal } = new AbortController();
  for (const { request } of requestsOf(model, job, signal)) model.generator.check(request);
}

export async function wholeAnswer(
  model: ServedModel,
  job: Job,
  signal: AbortSignal,
): Promise<object> {
  const requests = requestsOf(model, job, signal);
  const results = await Promise.all(
    requests.map(({ request }) => generateText(model.generator, model.tokenizer, request)),
  );
  const choices = results.map((result, i) =>
    job.form.choice(i, `${requests[i]?.head ?? ""}${result.text}`, reasonOf(result)),
  );
  return { ...headOf(job, job.form.object), choices, usage: usageOf(job, results) };
}

/** Sends every event of a streamed answer; the caller ends the stream. */
export async function streamAnswer(
  model: ServedModel,
  job: Job,
  signal: AbortSignal,
  send: (event: object) => void,
): Promise<void> {
  const { form, request } = job;
  const head = headOf(job, form.chunkObject);
  const usage = request.includeUsage ? { usage: null } : {};
  const chunk = (choice: object) => send({ ...head, choices: [choice], ...usage });
  const answer = async (
    { head: first, request: asked }: ReturnType<typeof requestsOf>[number],
    index: number,
  ): Promise<GeneratedText> => {
    const begin = form.begin(index);
    if (begin !== null) chunk(begin);
    if (first !== "") chunk(form.piece(index, first));
    const onText = (text: string) => chunk(form.piece(index, text));
    const result = await generateText(model.generator, model.tokenizer, { ...asked, onText });
    chunk(form.end(index, reasonOf(result)));
    return result;
  };
  const results = await Promise.all(requestsOf(model, job, signal).map(answer));
  if (request.includeUsage) send({ ...head, choices: [], usage: usageOf(job, results) });
}

export const completionForm: AnswerForm = {
  ...{ idPrefix: "cmpl", object: "text_completion", chunkObject: "text_completion" },
  choice: (index, text, reason) => ({ index, text, logprobs: null, finish_reason: reason }),
  begin: () => null,
  piece: (index, text) => ({ index, text, logprobs: null, finish_reason: null }),
  end: (index, reason) => ({ index, text: "", logprobs: null, finish_reason: reason }),
};

export const chatForm: AnswerForm = {
  ...{ idPrefix: "chatcmpl", object: "chat.completion", chunkObject: "chat.completion.chunk" },
  choice: (index, content, reason) => ({
    index,
    message: { role: "assistant", content, refusal: null },
    ...{ logprobs: null, finish_reason: reason },
  }),
  begin: (index) => delta(index, { role: "assistant", content: "" }, null),
  piece: (index, content) => delta(index, { content }, null),
  end: (index, reason) => delta(index, {}, reason),
};

const delta = (index: number, content: object, reason: string | null) => ({
  ...{ index, delta: content, logprobs: null, finish_reason: reason },
});
