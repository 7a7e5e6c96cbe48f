/** @file From what a model said about the items of a task to numbers with standard errors. */
import { assert } from "../util/errors.ts";
import type { Likelihood } from "./judged_model.ts";
import type { PreparedItem } from "./requests.ts";
import type { EvaluationTask, Filter, FilterStep, Metric, MetricName, RegexStep } from "./task.ts";

/** What one item adds to a metric: a value, and for ratios what it is divided by. */
export interface Contribution {
  readonly value: number;
  readonly weight: number;
}

const one = (value: number): Contribution => ({ value, weight: 1 });
const right = (yes: boolean): Contribution => one(yes ? 1 : 0);

/** Index of the largest; the first of equals. */
function best(values: readonly number[]): number {
  let at = 0;
  values.forEach((value, i) => {
    if (value > (values[at] ?? Number.NEGATIVE_INFINITY)) at = i;
  });
  return at;
}

const characters = (text: string): number => [...text].length;
const utf8 = (text: string): number => new TextEncoder().encode(text).length;
const words = (text: string): number => text.split(/\s+/).length;

/** Of an item whose choices, or one continuation, were judged. */
export function likelihoodContribution(
  metric: MetricName,
  prepared: PreparedItem,
  results: readonly Likelihood[],
  measured: string,
): Contribution {
  const { choices, targets } = prepared;
  const [first] = results;
  assert(first !== undefined, "every item has a request");
  const logprobs = results.map(({ logprob }) => logprob);
  switch (metric) {
    case "acc":
      return right(choices === null ? first.greedy : targets.includes(best(logprobs)));
    case "acc_norm":
    case "acc_bytes": {
      const size = metric === "acc_norm" ? characters : utf8;
      const scaled = logprobs.map((logprob, i) => logprob / size(choices?.[i] ?? ""));
      return right(targets.includes(best(scaled)));
    }
    case "exact_match":
      return right(targets.some((target) => results[Number(target)]?.greedy === true));
    case "perplexity":
      return one(first.logprob);
    case "word_perplexity":
      return { value: first.logprob, weight: words(measured) };
    case "token_perplexity":
      return { value: first.logprob, weight: first.tokens };
    default:
      return { value: first.logprob, weight: utf8(measured) };
  }
}

const PUNCTUATION = /[!"#$%&'()*+,\-./:;<=>?@[\\\]^_`{|}~]/g;

function normalized(text: string, metric: Metric): string {
  let out = metric.regexesToIgnore.reduce((rest, regex) => rest.replaceAll(regex, ""), text);
  if (metric.ignoreCase) out = out.toLowerCase();
  if (metric.ignorePunctuation) out = out.replaceAll(PUNCTUATION, "");
  if (metric.ignoreNumbers) out = out.replaceAll(/[0-9]/g, "");
  return out;
}

/** The last number in a text, thousands separators and currency signs left out. */
function lastNumber(text: string): number {
  const found = text.replaceAll(/[,$]/g, "").match(/-?\d+(\.\d+)?/g);
  return Number(found?.at(-1) ?? Number.NaN);
}

/** Of an item whose answer was generated and filtered. */
export function answerContribution(
  metric: Metric,
  { choices, targets }: PreparedItem,
  answer: string,
): Contribution {
  const wanted = targets.map((target) =>
    typeof target === "number" ? (choices?.[target] ?? String(target)) : target,
  );
  const said = normalized(answer, metric);
  if (metric.metric === "contains")
    return right(wanted.some((target) => said.includes(normalized(target, metric))));
  if (metric.metric === "numeric_match")
    return right(wanted.some((target) => lastNumber(target) === lastNumber(answer)));
  return right(wanted.some((target) => said === normalized(target, metric)));
}

function extracted(text: string, step: RegexStep): string {
  const match = [...text.matchAll(step.pattern)].at(step.group);
  if (match === undefined) return step.fallback;
  // With groups, the first that took part; without, the whole match.
  const found = match.length > 1 ? match.slice(1).find((group) => group) : match[0];
  return (found ?? step.fallback).trim();
}

function applied(text: string, step: FilterStep): string {
  switch (step.kind) {
    case "regex":
      return extracted(text, step);
    case "lowercase":
      return text.toLowerCase();
    case "uppercase":
      return text.toUpperCase();
    case "remove_whitespace":
      return text.trimStart();
    case "take_first":
      return text;
  }
}

/** Applies a filter to the answer of one item. */
export const filtered = (answer: string, { steps }: Filter): string =>
  steps.reduce(applied, answer);

const EXPONENTIAL = new Set<MetricName>([
  ...["perplexity", "word_perplexity", "byte_perplexity", "token_perplexity"],
] as MetricName[]);

export interface Measured {
  readonly value: number;
  /** Null where there are fewer than two items. */
  readonly stderr: number | null;
}

/** The metric's value where the items' sums have this ratio. */
export function ofRatio(metric: MetricName, ratio: number): number {
  if (EXPONENTIAL.has(metric)) return Math.exp(-ratio);
  return metric === "bits_per_byte" ? -ratio / Math.LN2 : ratio;
}

/**
 * A mean or a ratio of sums over items, and its standard error: of a mean, sample deviation / sqrt(n); of a ratio and of an exponential,
 * by linearization (the delta method).
 */
export function aggregate(metric: MetricName, items: readonly Contribution[]): Measured {
  const n = items.length;
  const total = items.reduce((sum, { value }) => sum + value, 0);
  const weight = items.reduce((sum, { weight: each }) => sum + each, 0);
  const ratio = total / weight;
  const value = ofRatio(metric, ratio);
  if (n < 2) return { value, stderr: null };
  const squares = items.reduce((sum, each) => sum + (each.value - ratio * each.weight) ** 2, 0);
  const deviation = Math.sqrt(squares / (n - 1)) / Math.sqrt(n) / (weight / n);
  const slope = EXPONENTIAL.has(metric) ? value : metric === "bits_per_byte" ? 1 / Math.LN2 : 1;
  return { value, stderr: deviation * slope };
}

export const higherIsBetter = (metric: MetricName): boolean =>
  !EXPONENTIAL.has(metric) && metric !== "bits_per_byte";

export const measuredText = (task: EvaluationTask, prepared: PreparedItem): string => {
  if (task.measured !== null) return task.measured(prepared.item);
  const [request] = prepared.requests;
  return request?.kind === "likelihood" ? request.continuation : "";
};
