/**
 * @file An evaluation task: where its items come from, how an item becomes a prompt and an answer, and how answers are judged. The record is
 * that of lm-evaluation-harness (`doc_to_text` ...), so that its YAML files can be read as they stand; users' code may give functions.
 */
import type { Fields, TextTemplate } from "../data/text_template.ts";

export const OUTPUT_TYPES = [
  "multiple_choice",
  "loglikelihood",
  "loglikelihood_rolling",
  "generate_until",
] as const;
export type OutputType = (typeof OUTPUT_TYPES)[number];

export const METRICS = [
  ...["acc", "acc_norm", "acc_bytes", "perplexity", "exact_match", "contains", "numeric_match"],
  ...["word_perplexity", "byte_perplexity", "bits_per_byte", "token_perplexity"],
] as const;
export type MetricName = (typeof METRICS)[number];

export interface Metric {
  readonly metric: MetricName;
  readonly ignoreCase: boolean;
  readonly ignorePunctuation: boolean;
  readonly ignoreNumbers: boolean;
  readonly regexesToIgnore: readonly RegExp[];
}

export interface RegexStep {
  readonly kind: "regex";
  readonly pattern: RegExp;
  /** Which match; negative: from the end. */
  readonly group: number;
  readonly fallback: string;
}

/** What is done with a generated answer before it is judged. */
export type FilterStep =
  | RegexStep
  | { readonly kind: "take_first" | "lowercase" | "uppercase" | "remove_whitespace" };

export interface Filter {
  readonly name: string;
  readonly steps: readonly FilterStep[];
}

/** The items of a task: files, or a data set of the hub. */
export interface TaskSource {
  /** `json`, `parquet` ... with `files`, or the name of a data set of the hub. */
  readonly path: string;
  readonly config: string | null;
  /** Files of each split, for a local source; relative names are relative to the task's file. */
  readonly files: Readonly<Record<string, readonly string[]>>;
}

/** A template, a function of users' code, or a value that is the same for all items. */
export type Part = TextTemplate | ((item: Fields) => unknown) | number | readonly string[];

export interface EvaluationTask {
  readonly name: string;
  readonly doc: string;
  readonly version: string;
  readonly output: OutputType;
  readonly source: TaskSource;
  /** Split whose items are judged. */
  readonly split: string;
  readonly fewshotSplit: string | null;
  readonly shots: number;
  readonly sampler: "default" | "first_n";
  readonly description: string;
  readonly text: Part;
  readonly target: Part;
  readonly choices: Part | null;
  readonly targetDelimiter: string;
  readonly fewshotDelimiter: string;
  readonly until: readonly string[];
  readonly maxTokens: number;
  readonly temperature: number;
  readonly filters: readonly Filter[];
  readonly metrics: readonly Metric[];
  /** Prepares an item before anything else sees it. */
  readonly process: ((item: Fields) => Fields) | null;
  /** Text whose words and bytes perplexities count; null: the target. */
  readonly measured: ((item: Fields) => string) | null;
}

/** The value of a part for an item, as lm-evaluation-harness resolves it: a field's name stands for the field. */
export function partValue(part: Part, item: Fields): unknown {
  if (typeof part === "number" || Array.isArray(part)) return part;
  if (typeof part === "function") return part(item);
  const template = part as TextTemplate;
  return Object.hasOwn(item, template.source) ? item[template.source] : template.value(item);
}

export function partText(part: Part, item: Fields): string {
  if (typeof part === "number" || Array.isArray(part)) return String(part);
  if (typeof part === "function") return String(part(item));
  const template = part as TextTemplate;
  return Object.hasOwn(item, template.source) ? String(item[template.source]) : template.text(item);
}
