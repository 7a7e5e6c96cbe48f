/** @file Whether two models differ on the same items: a paired bootstrap over the items' differences (Efron 1979; Koehn 2004). */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DataError, UserError } from "../util/errors.ts";
import { philox4x32 } from "../util/prng.ts";
import { aggregate, type Contribution, higherIsBetter, ofRatio } from "./metrics.ts";
import { METRICS, type MetricName } from "./task.ts";

export interface Comparison {
  readonly task: string;
  readonly filter: string;
  readonly metric: MetricName;
  readonly items: number;
  readonly a: number;
  readonly b: number;
  /** b - a, with the interval that holds 95 % of the resampled differences. */
  readonly difference: number;
  readonly low: number;
  readonly high: number;
  /** Two-sided: share of resamples on the other side of zero, doubled. */
  readonly p: number;
  readonly verdict: "a" | "b" | "none";
}

const RESAMPLES = 10_000;

interface Items {
  /** By task, filter and metric, then by item. */
  readonly values: ReadonlyMap<string, ReadonlyMap<number, Contribution>>;
}

function contributionOf(value: unknown): Contribution | undefined {
  if (typeof value === "number") return { value, weight: 1 };
  if (!Array.isArray(value) || value.length !== 2) return undefined;
  return { value: Number(value[0]), weight: Number(value[1]) };
}

/** The samples files of a results folder. */
function readItems(folder: string): Items {
  if (!existsSync(join(folder, "results.json")))
    throw new UserError(`${folder} holds no results.json`, {
      code: "not_found",
      hint: "theseus eval MODEL --tasks … -o FOLDER writes one",
    });
  const values = new Map<string, Map<number, Contribution>>();
  for (const name of readdirSync(folder)) {
    const task = /^samples_(.+)\.jsonl$/.exec(name)?.[1];
    if (task === undefined) continue;
    const path = join(folder, name);
    readFileSync(path, "utf8")
      .split("\n")
      .forEach((line, at) => {
        if (line === "") return;
        let sample: Record<string, unknown>;
        try {
          sample = JSON.parse(line) as Record<string, unknown>;
        } catch {
          throw new DataError("expected one JSON object a line", { place: { path, line: at + 1 } });
        }
        for (const metric of sample.metrics as readonly string[]) {
          const contribution = contributionOf(sample[metric]);
          if (contribution === undefined) continue;
          const key = `${task},${sample.filter},${metric}`;
          const items = values.get(key) ?? new Map<number, Contribution>();
          items.set(Number(sample.doc_id), contribution);
          values.set(key, items);
        }
      });
  }
  return { values };
}

/** Sums of both models' values and weights over n items drawn with replacement. */
function resampledSums(columns: readonly Float64Array[], round: number, seed: number): number[] {
  const n = columns[0]?.length ?? 0;
  const words = new Uint32Array(4);
  const sums = columns.map(() => 0);
  for (let i = 0; i < n; i++) {
    if (i % 4 === 0) philox4x32([i / 4, round, 0, 0], [seed >>> 0, 0x626f6f74], words);
    const item = Math.floor(((words[i % 4] ?? 0) / 2 ** 32) * n);
    for (let c = 0; c < columns.length; c++) sums[c] = (sums[c] ?? 0) + (columns[c]?.[item] ?? 0);
  }
  return sums;
}

function compareMetric(
  metric: MetricName,
  a: readonly Contribution[],
  b: readonly Contribution[],
  seed: number,
) {
  const column = (items: readonly Contribution[], key: keyof Contribution) =>
    Float64Array.from(items, (item) => item[key]);
  const columns = [a, b].flatMap((items) => [column(items, "value"), column(items, "weight")]);
  const differences = Float64Array.from({ length: RESAMPLES }, (_, round) => {
    const [valueA = 0, weightA = 1, valueB = 0, weightB = 1] = resampledSums(columns, round, seed);
    return ofRatio(metric, valueB / weightB) - ofRatio(metric, valueA / weightA);
  }).sort();
  const at = (share: number) => differences[Math.floor(share * (RESAMPLES - 1))] ?? 0;
  const below = differences.filter((each) => each <= 0).length;
  const above = differences.filter((each) => each >= 0).length;
  const p = Math.min(1, (2 * Math.min(below, above)) / RESAMPLES);
  const value = (items: readonly Contribution[]) => aggregate(metric, items).value;
  return { a: value(a), b: value(b), low: at(0.025), high: at(0.975), p };
}

/** All metrics that both folders have, over the items that both judged. */
export function compareResults(folderA: string, folderB: string, seed = 0): Comparison[] {
  const [a, b] = [readItems(folderA), readItems(folderB)];
  const out: Comparison[] = [];
  for (const [key, itemsA] of a.values) {
    const itemsB = b.values.get(key);
    const [task = "", filter = "", name = ""] = key.split(",");
    const metric = METRICS.find((each) => each === name);
    if (itemsB === undefined || metric === undefined) continue;
    const shared = [...itemsA.keys()].filter((id) => itemsB.has(id));
    if (shared.length < 2) continue;
    const of = (items: ReadonlyMap<number, Contribution>) =>
      shared.map((id) => items.get(id) ?? { value: 0, weight: 1 });
    const found = compareMetric(metric, of(itemsA), of(itemsB), seed);
    const real = found.low > 0 || found.high < 0;
    const bIsBetter = found.b > found.a === higherIsBetter(metric);
    out.push({
      ...{ task, filter, metric, items: shared.length, difference: found.b - found.a },
      ...found,
      verdict: real ? (bIsBetter ? "b" : "a") : "none",
    });
  }
  if (out.length === 0)
    throw new DataError(`${folderA} and ${folderB} have no task with the same items in common`);
  return out;
}
