/** @file theseus plot: loss curves in the terminal, and as SVG. */
import { writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { StepMetrics } from "../train/metrics.ts";
import { sampledMetrics } from "../train/metrics_reader.ts";
import { type Series, svgChart, terminalChart } from "../util/chart.ts";
import { UserError } from "../util/errors.ts";
import { log, useColor } from "../util/log.ts";
import { command, UsageError } from "./command.ts";
import { findRun, rootArgs, rootOf } from "./place.ts";

const METRICS = [
  ...(["loss", "val_loss", "val_bits_per_byte", "learning_rate", "grad_norm"] as const),
  "tokens_per_s",
] as const;
type Metric = (typeof METRICS)[number];
const MANY_POINTS = 2000;

/** At most MANY_POINTS points: means of equal stretches, so that a long run still shows its course. */
export function thinned(points: readonly (readonly [number, number])[]): [number, number][] {
  const stretch = Math.max(1, Math.ceil(points.length / MANY_POINTS));
  const out: [number, number][] = [];
  for (let i = 0; i < points.length; i += stretch) {
    const part = points.slice(i, i + stretch);
    const mean = (at: 0 | 1): number => part.reduce((sum, p) => sum + p[at], 0) / part.length;
    out.push([mean(0), mean(1)]);
  }
  return out;
}

function seriesOf(name: string, metrics: readonly StepMetrics[], metric: Metric): Series {
  const points = metrics.flatMap((m): [number, number][] => {
    const value = m[metric];
    return value === undefined || value === null ? [] : [[m.step, value]];
  });
  return { name, points: thinned(points) };
}

export default command({
  name: "plot",
  summary: "loss curves of runs",
  examples: ["theseus plot first", "theseus plot first second --metric val_loss -o curves.svg"],
  args: {
    ...rootArgs,
    metric: { type: "string", default: "loss", description: METRICS.join(", ") },
    output: { type: "string", alias: "o", valueHint: "file.svg", description: "write an SVG" },
  },
  variadic: { name: "run", min: 1, description: "run directories, or their names" },
  async run({ args, many }) {
    const metric = METRICS.find((name) => name === args.metric);
    if (metric === undefined)
      throw new UsageError(`--metric expected one of ${METRICS.join(", ")}, got "${args.metric}"`);
    const root = rootOf(undefined, args.root);
    const series = many.map((run) => {
      const directory = findRun(run, root);
      return seriesOf(
        basename(directory),
        sampledMetrics(join(directory, "metrics.jsonl")),
        metric,
      );
    });
    if (series.every(({ points }) => points.length === 0))
      throw new UserError(`no run has any ${metric} yet`, { code: "not_found" });
    if (args.json === true) {
      process.stdout.write(`${JSON.stringify({ schema_version: 1, metric, series })}\n`);
    } else if (args.output !== undefined) {
      writeFileSync(args.output, svgChart(series, metric, "step", metric));
      log.info(`wrote ${args.output}`);
    } else {
      const size = { width: process.stdout.columns ?? 80, height: 18 };
      const color = useColor(process.stdout, args["no-color"] === true);
      process.stdout.write(terminalChart(series, { ...size, color }));
    }
    return 0;
  },
});
