/**
 * @file metrics.jsonl: one object a step, appended. Numbers are written with the digits that read back to the same bits;
 * JSON has no NaN, so values that are not finite are written as strings.
 */
import { LineFile } from "../util/line_file.ts";

export interface StepMetrics {
  /** Steps done, so the first object has 1. */
  readonly step: number;
  /** Trained tokens so far, over all steps. */
  readonly tokens: number;
  readonly loss: number;
  readonly learning_rate: number;
  readonly grad_norm: number;
  readonly tokens_per_s: number;
  readonly mfu: number | null;
  readonly elapsed_s: number;
  readonly attempt: number;
  readonly val_loss?: number;
  readonly val_bits_per_byte?: number;
}

const writable = (_key: string, value: unknown): unknown =>
  typeof value === "number" && !Number.isFinite(value) ? String(value) : value;

export const metricsLine = (metrics: StepMetrics): string =>
  `${JSON.stringify(metrics, writable)}\n`;

/** Reads a line back, strings for non-finite numbers included. */
export function parseMetricsLine(line: string): StepMetrics {
  const special: Record<string, number> = { NaN, Infinity, "-Infinity": -Infinity };
  return JSON.parse(line, (_key, value: unknown) =>
    typeof value === "string" ? (special[value] ?? value) : value,
  );
}

/** The only writer of one run's metrics. */
export class MetricsWriter {
  private readonly file: LineFile;

  constructor(path: string) {
    this.file = new LineFile(path);
  }

  write(metrics: StepMetrics): void {
    this.file.append(metricsLine(metrics));
  }

  close(): void {
    this.file.finish();
  }
}
