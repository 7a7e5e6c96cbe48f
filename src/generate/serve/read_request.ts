/**
 * @file Bodies of OpenAI's requests. What would change the answer and is not supported is refused by name; what only concerns
 * OpenAI's own service is passed over.
 */
import type { SamplingOptions } from "../choose_token.ts";
import { ApiError } from "./api_error.ts";

export interface AnswerRequest {
  readonly model: string;
  /** Null: until the context is full. */
  readonly maxTokens: number | null;
  readonly sampling: SamplingOptions;
  readonly answers: number;
  readonly stop: readonly string[];
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

export interface CompletionRequest extends AnswerRequest {
  /** Texts, or token ids. */
  readonly prompts: readonly (string | readonly number[])[];
  readonly echo: boolean;
}

export interface ChatRequest extends AnswerRequest {
  readonly messages: readonly unknown[];
}

const ANSWERS_MAX = 64;
const PROMPTS_MAX = 256;
const STOPS_MAX = 16;

/** Have no bearing on the answer. */
const PASSED_OVER = new Set([
  ...["user", "store", "metadata", "service_tier", "safety_identifier", "prompt_cache_key"],
  ...["prompt_cache_retention", "parallel_tool_calls", "verbosity"],
]);
/** Supported only with the value that changes nothing. */
const NEUTRAL: Readonly<Record<string, (value: unknown) => boolean>> = {
  presence_penalty: (value) => value === 0,
  frequency_penalty: (value) => value === 0,
  logit_bias: (value) => isObject(value) && Object.keys(value).length === 0,
  logprobs: (value) => value === false,
  top_logprobs: () => false,
  suffix: (value) => value === "",
  best_of: (value) => value === 1,
  tools: (value) => Array.isArray(value) && value.length === 0,
  tool_choice: (value) => value === "none" || value === "auto",
  functions: (value) => Array.isArray(value) && value.length === 0,
  function_call: (value) => value === "none" || value === "auto",
  response_format: (value) => isObject(value) && value.type === "text",
  modalities: (value) => Array.isArray(value) && value.every((each) => each === "text"),
};

const COMMON = new Set([
  ...["model", "max_tokens", "temperature", "top_p", "top_k", "min_p", "repetition_penalty"],
  ...["seed", "n", "stop", "stream", "stream_options"],
]);

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

class Fields {
  readonly body: Readonly<Record<string, unknown>>;

  constructor(body: unknown, known: readonly string[]) {
    if (!isObject(body)) throw new ApiError(400, "expected a JSON object as the body");
    this.body = body;
    for (const [name, value] of Object.entries(body)) {
      if (value === null || COMMON.has(name) || known.includes(name) || PASSED_OVER.has(name))
        continue;
      const neutral = NEUTRAL[name];
      if (neutral === undefined) this.fail(name, `unrecognized request argument: ${name}`);
      if (!neutral(value)) this.fail(name, `${name} is not supported by this server`);
    }
  }

  fail(param: string, message: string): never {
    throw new ApiError(400, message, { param });
  }

  number(name: string, range: { low: number; high?: number; integer?: boolean }): number | null {
    const value = this.body[name] ?? null;
    if (value === null) return null;
    const { low, high = Infinity, integer = false } = range;
    const fits = typeof value === "number" && value >= low && value <= high;
    if (fits && (!integer || Number.isInteger(value))) return value;
    const kind = integer ? "an integer" : "a number";
    const bounds = high === Infinity ? `>= ${low}` : `from ${low} to ${high}`;
    return this.fail(name, `${name}: expected ${kind} ${bounds}, got ${JSON.stringify(value)}`);
  }

  flag(name: string): boolean {
    const value = this.body[name] ?? false;
    if (typeof value === "boolean") return value;
    return this.fail(name, `${name}: expected true or false, got ${JSON.stringify(value)}`);
  }

  text(name: string): string {
    const value = this.body[name];
    if (typeof value === "string" && value !== "") return value;
    return this.fail(name, `${name}: expected a text, got ${JSON.stringify(value) ?? "nothing"}`);
  }

  stops(): readonly string[] {
    const value = this.body.stop ?? [];
    const list: readonly unknown[] = Array.isArray(value) ? value : [value];
    const texts = list.filter((each) => typeof each === "string" && each !== "") as string[];
    if (texts.length === list.length && list.length <= STOPS_MAX) return texts;
    return this.fail("stop", `stop: expected a text or up to ${STOPS_MAX} of them, none empty`);
  }
}

function answerRequest(fields: Fields, maxTokens: number | null): AnswerRequest {
  const { body } = fields;
  const options = body.stream_options ?? {};
  if (!isObject(options)) fields.fail("stream_options", "stream_options: expected an object");
  const stream = fields.flag("stream");
  if (body.stream_options != null && !stream)
    fields.fail("stream_options", "stream_options needs stream: true");
  const answers = fields.number("n", { low: 1, high: ANSWERS_MAX, integer: true }) ?? 1;
  const anySeed = () => Math.floor(Math.random() * 2 ** 32);
  const whole = { low: Number.MIN_SAFE_INTEGER, high: Number.MAX_SAFE_INTEGER, integer: true };
  const sampling = {
    temperature: fields.number("temperature", { low: 0, high: 100 }) ?? 1,
    topK: Math.max(0, fields.number("top_k", { low: -1, integer: true }) ?? 0),
    topP: fields.number("top_p", { low: 0, high: 1 }) || 1,
    minP: fields.number("min_p", { low: 0, high: 1 }) ?? 0,
    repetitionPenalty: fields.number("repetition_penalty", { low: 1e-3, high: 1e3 }) ?? 1,
    seed: fields.number("seed", whole) ?? anySeed(),
  };
  // A nucleus of nothing is the likeliest token alone.
  const greedy = body.top_p === 0 ? { ...sampling, temperature: 0 } : sampling;
  return {
    ...{ model: fields.text("model"), maxTokens, sampling: greedy, answers, stop: fields.stops() },
    ...{ stream, includeUsage: options.include_usage === true },
  };
}

function promptsOf(fields: Fields): CompletionRequest["prompts"] {
  const value = fields.body.prompt ?? "";
  const isIds = (list: unknown): list is number[] =>
    Array.isArray(list) && list.length > 0 && list.every((id) => Number.isInteger(id) && id >= 0);
  if (typeof value === "string" || isIds(value)) return [value];
  const isList = Array.isArray(value) && value.length > 0 && value.length <= PROMPTS_MAX;
  if (isList && value.every((each) => typeof each === "string" || isIds(each))) return value;
  const wanted = `a text, token ids, or up to ${PROMPTS_MAX} of either`;
  return fields.fail("prompt", `prompt: expected ${wanted}`);
}

const COUNT = { low: 1, integer: true } as const;

export function completionRequest(body: unknown): CompletionRequest {
  const fields = new Fields(body, ["prompt", "echo"]);
  const maxTokens = fields.number("max_tokens", COUNT) ?? 16;
  const prompts = promptsOf(fields);
  return { ...answerRequest(fields, maxTokens), prompts, echo: fields.flag("echo") };
}

export function chatRequest(body: unknown): ChatRequest {
  const fields = new Fields(body, ["messages", "max_completion_tokens"]);
  const newer = fields.number("max_completion_tokens", COUNT);
  const maxTokens = newer ?? fields.number("max_tokens", COUNT);
  const { messages } = fields.body;
  if (!Array.isArray(messages) || messages.length === 0)
    fields.fail("messages", "messages: expected a list of at least one message");
  return { ...answerRequest(fields, maxTokens), messages: messages as readonly unknown[] };
}
