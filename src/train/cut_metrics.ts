/** @file Going back in a run's metrics: lines after a step leave metrics.jsonl, which else would tell of steps that no longer are. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { writeAtomically } from "../util/atomic_file.ts";
import { parseMetricsLine } from "./metrics.ts";

/** A line that is no metrics object, such as a torn last one, goes too. */
function isUpTo(line: string, step: number): boolean {
  try {
    return parseMetricsLine(line).step <= step;
  } catch {
    return false;
  }
}

/** The file as it was is kept in the folder `grave`. */
export function cutMetrics(directory: string, grave: string, step: number): void {
  const path = join(directory, "metrics.jsonl");
  if (!existsSync(path)) return;
  const text = readFileSync(path, "utf8");
  const lines = text.split("\n").filter((line) => line !== "");
  const kept = lines.filter((line) => isUpTo(line, step));
  if (kept.length === lines.length) return;
  let number = 1;
  const nameOf = () => join(grave, number === 1 ? "metrics.jsonl" : `metrics.${number}.jsonl`);
  while (existsSync(nameOf())) number++;
  writeAtomically(nameOf(), text);
  writeAtomically(path, kept.map((line) => `${line}\n`).join(""));
}
