/**
 * @file metrics.jsonl: one object a step, appended. Numbers are written with the digits that read back to the same bits;
 * JSON has no NaN, so values that are not finite are written as strings.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from "node:fs";

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

/** A crash may have left half a line; what follows must start on a line of its own. */
function cutTornTail(path: string): void {
  if (!existsSync(path)) return;
  const file = openSync(path, "r+");
  try {
    const { size } = fstatSync(file);
    const block = Buffer.alloc(1 << 16);
    let end = size;
    let whole = 0;
    while (end > 0 && whole === 0) {
      const begin = Math.max(0, end - block.length);
      readSync(file, block, 0, end - begin, begin);
      const at = block.subarray(0, end - begin).lastIndexOf(0x0a);
      if (at !== -1) whole = begin + at + 1;
      end = begin;
    }
    if (whole < size) ftruncateSync(file, whole);
  } finally {
    closeSync(file);
  }
}

/** The only writer of one run's metrics. */
export class MetricsWriter {
  private readonly file: number;

  constructor(path: string) {
    cutTornTail(path);
    this.file = openSync(path, "a");
  }

  write(metrics: StepMetrics): void {
    const bytes = Buffer.from(metricsLine(metrics));
    // A write may be short.
    for (let at = 0; at < bytes.length; ) at += writeSync(this.file, bytes, at);
  }

  close(): void {
    fsyncSync(this.file);
    closeSync(this.file);
  }
}
