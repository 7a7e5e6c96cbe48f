/** @file A task as users' code writes it: what has a usual value may be left out, and any part may be a function of the item. */
import { type Fields, TextTemplate } from "../data/text_template.ts";
import type { EvaluationTask, Metric, MetricName, OutputType, Part } from "./task.ts";

type Written = string | number | readonly string[] | ((item: Fields) => unknown);

export interface TaskRecord {
  readonly name: string;
  readonly doc?: string;
  readonly version?: string;
  readonly output: OutputType;
  /** Files of each split, or a data set of the hub by its name. */
  readonly source:
    | { readonly files: Readonly<Record<string, readonly string[]>> }
    | { readonly hub: string; readonly config?: string };
  /** Whose items are judged; default test. */
  readonly split?: string;
  readonly fewshotSplit?: string;
  readonly shots?: number;
  /** A Jinja template, the name of a field, or a function. */
  readonly text: Written;
  readonly target: Written;
  readonly choices?: Written;
  readonly metrics: readonly (MetricName | (Partial<Metric> & { readonly metric: MetricName }))[];
  readonly until?: readonly string[];
  readonly maxTokens?: number;
  readonly description?: string;
}

const partOf = (written: Written): Part =>
  typeof written === "string" ? new TextTemplate(written) : written;

const metricOf = (metric: TaskRecord["metrics"][number]): Metric => ({
  ...{ ignoreCase: false, ignorePunctuation: false, ignoreNumbers: false, regexesToIgnore: [] },
  ...(typeof metric === "string" ? { metric } : metric),
});

export function taskOf(record: TaskRecord): EvaluationTask {
  const { source } = record;
  return {
    name: record.name,
    doc: record.doc ?? record.name,
    version: record.version ?? "1",
    output: record.output,
    source:
      "hub" in source
        ? { path: source.hub, config: source.config ?? null, files: {} }
        : { path: "json", config: null, files: source.files },
    split: record.split ?? "test",
    fewshotSplit: record.fewshotSplit ?? null,
    shots: record.shots ?? 0,
    sampler: "default",
    description: record.description ?? "",
    text: partOf(record.text),
    target: partOf(record.target),
    choices: record.choices === undefined ? null : partOf(record.choices),
    targetDelimiter: " ",
    fewshotDelimiter: "\n\n",
    until: record.until ?? [],
    maxTokens: record.maxTokens ?? 256,
    temperature: 0,
    filters: [{ name: "none", steps: [{ kind: "take_first" }] }],
    metrics: record.metrics.map(metricOf),
    process: null,
    measured: null,
  };
}
