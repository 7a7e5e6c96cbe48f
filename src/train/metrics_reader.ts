/**
 * @file Reads metrics.jsonl while it may still be written. A crash can leave steps twice and a torn last line: the last
 * attempt of a step counts, a torn tail is left for the next read.
 */
import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { DataError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { parseMetricsLine, type StepMetrics } from "./metrics.ts";

const BLOCK_BYTES = 1 << 20;

/** Whole lines of a file, without reading it into memory at once. The tail without a line end is dropped. */
function* wholeLines(path: string): Generator<string> {
  const file = openSync(path, "r");
  try {
    const block = new Uint8Array(BLOCK_BYTES);
    const decoder = new TextDecoder();
    let rest = "";
    for (;;) {
      const count = readSync(file, block, 0, BLOCK_BYTES, null);
      if (count === 0) return;
      const parts = (rest + decoder.decode(block.subarray(0, count), { stream: true })).split("\n");
      rest = parts.pop() ?? "";
      yield* parts;
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
  for (const text of wholeLines(path)) {
    line++;
    if (text === "") continue;
    let metrics: StepMetrics;
    try {
      metrics = parseMetricsLine(text);
      if (!Number.isSafeInteger(metrics.step)) throw new Error("no step");
    } catch {
      throw new DataError(`expected a metrics object, got ${text.slice(0, 60)}`, {
        place: { path, line },
      });
    }
    bySteps.set(metrics.step, metrics);
  }
  return [...bySteps.values()].sort((a, b) => a.step - b.step);
}

/** What was last written for one step; undefined also where the file is damaged: it is no ground to end a run. */
export function loggedMetrics(directory: string, step: number): StepMetrics | undefined {
  try {
    return readMetrics(join(directory, "metrics.jsonl")).findLast((each) => each.step === step);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    log.warn(`${error.place.path}:${error.place.line}: ${error.message}`);
    return undefined;
  }
}

const TAIL_BYTES = 1 << 16;

/** The last whole line of a metrics file, whatever its length. */
export function lastMetrics(path: string): StepMetrics | undefined {
  if (!existsSync(path)) return undefined;
  const file = openSync(path, "r");
  try {
    const { size } = fstatSync(file);
    const tail = Buffer.alloc(Math.min(size, TAIL_BYTES));
    readSync(file, tail, 0, tail.length, size - tail.length);
    const lines = tail.toString("utf8").split("\n").slice(0, -1);
    const line = lines.findLast((text) => text.startsWith("{"));
    return line === undefined ? undefined : parseMetricsLine(line);
  } finally {
    closeSync(file);
  }
}
