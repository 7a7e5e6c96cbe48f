/** @file Runs one task on a model: every item's requests, its contributions to the metrics, and a record of each item for people. */
import type { Fields } from "../data/text_template.ts";
import { DataError } from "../util/errors.ts";
import type { JudgedModel, Likelihood, Watch } from "./judged_model.ts";
import {
  aggregate,
  answerContribution,
  type Contribution,
  filtered,
  likelihoodContribution,
  type Measured,
  measuredText,
} from "./metrics.ts";
import { type PreparedItem, PromptBuilder, prepareItem } from "./requests.ts";
import type { EvaluationTask } from "./task.ts";

export interface TaskOptions {
  /** Items at most, the first ones; null: all. */
  readonly limit: number | null;
  /** Worked examples before each item; null: as many as the task says. */
  readonly shots: number | null;
  /** Of the draw of examples and of sampled answers. */
  readonly seed: number;
}

/** One item under one filter, as lm-evaluation-harness writes it into samples files. */
export interface SampleRecord {
  readonly doc_id: number;
  readonly doc: Fields;
  readonly target: number | string | readonly (number | string)[];
  readonly arguments: readonly (readonly string[])[];
  readonly resps: readonly unknown[];
  readonly filtered_resps: readonly unknown[];
  readonly filter: string;
  readonly metrics: readonly string[];
  readonly [metric: string]: unknown;
}

export interface TaskResult {
  readonly task: EvaluationTask;
  readonly shots: number;
  readonly itemsInAll: number;
  readonly items: number;
  /** By `metric,filter`. */
  readonly measured: ReadonlyMap<string, Measured>;
  readonly samples: readonly SampleRecord[];
}

/** Items of a split, prepared by the task. */
export type ReadItems = (task: EvaluationTask, split: string) => Promise<readonly Fields[]>;

async function prepare(task: EvaluationTask, options: TaskOptions, read: ReadItems) {
  const itemsOf = async (split: string): Promise<readonly Fields[]> => {
    const items = await read(task, split);
    return task.process === null ? items : items.map(task.process);
  };
  const all = await itemsOf(task.split);
  if (all.length === 0)
    throw new DataError(
      `task ${task.name}: the split ${task.split} of ${task.source.path} is empty`,
    );
  const shots = options.shots ?? task.shots;
  const examples =
    shots === 0 || task.fewshotSplit === null
      ? []
      : task.fewshotSplit === task.split
        ? all
        : await itemsOf(task.fewshotSplit);
  const prompts = new PromptBuilder(task, shots, examples, options.seed);
  const items = options.limit === null ? all : all.slice(0, options.limit);
  const prepared = items.map((item, index) => prepareItem(task, prompts, item, index));
  return { all, shots, prepared };
}

const argumentsOf = ({ requests }: PreparedItem): string[][] =>
  requests.map((request) =>
    request.kind === "generation"
      ? [request.prompt]
      : request.context === null
        ? [request.continuation]
        : [request.context, request.continuation],
  );

type Scored = {
  readonly responses: readonly unknown[];
  readonly kept: readonly unknown[];
  readonly contributions: ReadonlyMap<string, Contribution>;
};

function likelihoodScores(
  task: EvaluationTask,
  item: PreparedItem,
  results: readonly Likelihood[],
): Scored {
  const measured = measuredText(task, item);
  const contributions = new Map(
    task.metrics.map(({ metric }) => [
      metric,
      likelihoodContribution(metric, item, results, measured),
    ]),
  );
  const kept = results.map(({ logprob, greedy }) => [logprob, greedy]);
  return { responses: kept, kept, contributions };
}

/** A column of the results: one filter of answers; likelihoods have none. */
interface Column {
  readonly filter: string;
  readonly scored: readonly Scored[];
}

async function columnsOf(
  model: JudgedModel,
  task: EvaluationTask,
  prepared: readonly PreparedItem[],
  seed: number,
  watch: Watch,
): Promise<Column[]> {
  if (task.output === "generate_until") {
    const prompts = prepared.flatMap(({ requests }) =>
      requests.map((each) => (each.kind === "generation" ? each.prompt : "")),
    );
    const { until, maxTokens, temperature } = task;
    const answers = await model.answers(prompts, { until, maxTokens, temperature, seed }, watch);
    return task.filters.map((filter) => ({
      filter: filter.name,
      scored: prepared.map((item, i) => {
        const answer = answers[i] ?? "";
        const kept = filtered(answer, filter);
        const contributions = new Map(
          task.metrics.map((metric) => [metric.metric, answerContribution(metric, item, kept)]),
        );
        return { responses: [answer], kept: [kept], contributions };
      }),
    }));
  }
  const requests = prepared.flatMap(({ requests: own }) =>
    own.filter((each) => each.kind === "likelihood"),
  );
  const results = await model.likelihoods(requests, watch);
  let at = 0;
  const scored = prepared.map((item) => {
    const own = results.slice(at, at + item.requests.length);
    at += item.requests.length;
    return likelihoodScores(task, item, own);
  });
  return [{ filter: "none", scored }];
}

function sampleRecord(item: PreparedItem, filter: string, scored: Scored): SampleRecord {
  const [target = "", ...more] = item.targets;
  const values = [...scored.contributions].map(([metric, { value, weight }]) => [
    metric,
    weight === 1 ? value : [value, weight],
  ]);
  return {
    doc_id: item.index,
    doc: item.item,
    target: more.length === 0 ? target : item.targets,
    arguments: argumentsOf(item),
    resps: scored.responses,
    filtered_resps: scored.kept,
    filter,
    metrics: [...scored.contributions.keys()],
    ...Object.fromEntries(values),
  };
}

export async function runTask(
  model: JudgedModel,
  task: EvaluationTask,
  options: TaskOptions,
  read: ReadItems,
  watch: Watch = {},
): Promise<TaskResult> {
  const { all, shots, prepared } = await prepare(task, options, read);
  const columns = await columnsOf(model, task, prepared, options.seed, watch);
  const measured = new Map<string, Measured>();
  const samples: SampleRecord[] = [];
  for (const { filter, scored } of columns) {
    for (const { metric } of task.metrics) {
      const own = scored.flatMap(({ contributions }) => contributions.get(metric) ?? []);
      measured.set(`${metric},${filter}`, aggregate(metric, own));
    }
    prepared.forEach((item, i) => {
      const own = scored[i];
      if (own !== undefined) samples.push(sampleRecord(item, filter, own));
    });
  }
  const { length: items } = prepared;
  return { task, shots, itemsInAll: all.length, items, measured, samples };
}
