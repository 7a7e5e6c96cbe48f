/**
 * @file Reads metrics.jsonl while it may still be written. A crash can leave steps twice and a torn last line: the last
 * attempt of a step counts, a torn tail is left for the next read. Who only shows numbers reads a sample, or the end.
 */
import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { DataError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { parseMetricsLine, type StepMetrics } from "./metrics.ts";

const BLOCK_BYTES = 1 << 20;
const LINE_END = 0x0a;
const VALIDATED = '"val_loss"';

function withFile<T>(path: string, body: (file: number, size: number) => T): T {
  const file = openSync(path, "r");
  try {
    return body(file, fstatSync(file).size);
  } finally {
    closeSync(file);
  }
}

/** Undefined where a line is no metrics object. */
function parsed(line: string): StepMetrics | undefined {
  try {
    const metrics = parseMetricsLine(line);
    return Number.isSafeInteger(metrics.step) ? metrics : undefined;
  } catch {
    return undefined;
  }
}

/** Blocks of whole lines, without reading the file into memory at once. The tail without a line end is dropped. */
function* lineBlocks(path: string): Generator<Buffer> {
  const file = openSync(path, "r");
  try {
    let block = Buffer.alloc(BLOCK_BYTES);
    let kept = 0;
    for (;;) {
      // A line longer than the block.
      if (kept === block.length) block = Buffer.concat([block, Buffer.alloc(block.length)]);
      const count = readSync(file, block, kept, block.length - kept, null);
      if (count === 0) return;
      const whole = block.subarray(0, kept + count);
      const end = whole.lastIndexOf(LINE_END) + 1;
      if (end > 0) yield whole.subarray(0, end);
      whole.copy(block, 0, end);
      kept = whole.length - end;
    }
  } finally {
    closeSync(file);
  }
}

/** Metrics by step, ascending. Throws DataError with file and line where a whole line is no metrics object. */
export function readMetrics(path: string): StepMetrics[] {
  if (!existsSync(path)) return [];
  const bySteps = new Map<number, StepMetrics>();
  let line = 0;
  for (const block of lineBlocks(path))
    for (const text of block.toString("utf8").slice(0, -1).split("\n")) {
      line++;
      if (text === "") continue;
      const metrics = parsed(text);
      if (metrics === undefined)
        throw new DataError(`expected a metrics object, got ${text.slice(0, 60)}`, {
          place: { path, line },
        });
      bySteps.set(metrics.step, metrics);
    }
  return [...bySteps.values()].sort((a, b) => a.step - b.step);
}

/** Every `stride`-th line of a file, and each that holds a validation, in the order of the file. */
function pickedLines(path: string, stride: number): string[] {
  const picked: string[] = [];
  let line = 0;
  for (const block of lineBlocks(path)) {
    let validated = block.indexOf(VALIDATED);
    for (let at = 0; at < block.length; ) {
      const end = block.indexOf(LINE_END, at);
      const validates = validated !== -1 && validated < end;
      if (validates || line % stride === 0) picked.push(block.toString("utf8", at, end));
      if (validates) validated = block.indexOf(VALIDATED, end);
      line++;
      at = end + 1;
    }
  }
  return picked;
}

/** Later lines count: what is left of earlier attempts is before the step with which the next one begins. */
function lastAttempts(metrics: readonly StepMetrics[]): StepMetrics[] {
  const out: StepMetrics[] = [];
  for (const each of [...metrics].reverse())
    if (each.step < (out.at(-1)?.step ?? Number.POSITIVE_INFINITY)) out.push(each);
  return out.reverse();
}

const SAMPLE = 20_000;

/**
 * Metrics by step for curves: all of a short file, about `count` of a long one, the validations among them. Lines that are no metrics
 * are passed over with a warning.
 */
export function sampledMetrics(path: string, count = SAMPLE): StepMetrics[] {
  if (!existsSync(path)) return [];
  const lineBytes = withFile(path, (file) => {
    const head = Buffer.alloc(1 << 16);
    const read = head.subarray(0, readSync(file, head, 0, head.length, 0));
    return (
      read.length /
      Math.max(
        1,
        read.reduce((n, byte) => n + Number(byte === LINE_END), 0),
      )
    );
  });
  const lines = withFile(path, (_, size) => size / Math.max(1, lineBytes));
  const picked = pickedLines(path, Math.max(1, Math.ceil(lines / count))).filter((t) => t !== "");
  const metrics = picked.map(parsed);
  const good = metrics.filter((each) => each !== undefined);
  const bad = metrics.length - good.length;
  if (bad > 0) log.warn(`${path}: ${bad} of ${metrics.length} lines are no metrics and left out`);
  const last = lastAttempts(good);
  const stride = Math.ceil(last.length / (2 * count));
  return stride <= 1 ? last : last.filter((_, i) => i % stride === 0 || i === last.length - 1);
}

/** How far back the end of a file is looked through. */
const BACK_BYTES = 1 << 26;

/** Whole lines from the last one on, back to a limit. */
function* linesBackwards(path: string): Generator<string> {
  const file = openSync(path, "r");
  try {
    let { size: end } = fstatSync(file);
    const limit = Math.max(0, end - BACK_BYTES);
    // What stands before the first line end of the block after; at first the torn tail, which is dropped.
    let rest: Buffer | null = null;
    while (end > limit) {
      const block: Buffer = Buffer.alloc(Math.min(1 << 16, end));
      end -= block.length;
      readSync(file, block, 0, block.length, end);
      const text: Buffer = rest === null ? block : Buffer.concat([block, rest]);
      const first = text.indexOf(LINE_END);
      const last: number = rest === null ? text.lastIndexOf(LINE_END) : text.length;
      if (first === -1 || last <= first) {
        rest = rest === null && first === -1 ? null : text.subarray(0, last);
        continue;
      }
      yield* text
        .toString("utf8", first + 1, last)
        .split("\n")
        .reverse();
      rest = text.subarray(0, first);
    }
    if (end === 0 && rest !== null) yield rest.toString("utf8");
  } finally {
    closeSync(file);
  }
}

function lastWith(path: string, accepts: (metrics: StepMetrics) => boolean, word = "") {
  if (!existsSync(path)) return undefined;
  for (const line of linesBackwards(path)) {
    if (!line.includes(word)) continue;
    const metrics = parsed(line);
    if (metrics !== undefined && accepts(metrics)) return metrics;
  }
  return undefined;
}

/** The last whole line of a metrics file that is one. */
export const lastMetrics = (path: string): StepMetrics | undefined => lastWith(path, () => true);

/** The last that holds a validation. */
export const lastValidated = (path: string): StepMetrics | undefined =>
  lastWith(path, ({ val_loss }) => val_loss !== undefined, VALIDATED);

/** What was last written for one step; undefined where it is not near the file's end, or damaged: that is no ground to end a run. */
export const loggedMetrics = (directory: string, step: number): StepMetrics | undefined =>
  lastWith(join(directory, "metrics.jsonl"), (each) => each.step === step, `"step":${step},`);
