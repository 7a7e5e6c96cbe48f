/** @file What a run directory tells about its run, for `runs` and `show`. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { lastMetrics, lastValidated } from "../train/metrics_reader.ts";
import { heartbeatAge, readExit, readHeartbeat } from "../train/status_files.ts";

export interface RunSummary {
  readonly run: string;
  readonly directory: string;
  readonly job: string;
  readonly state: "finished" | "interrupted" | "failed" | "running" | "killed" | "unknown";
  readonly step: number;
  readonly tokens: number;
  readonly loss: number | null;
  readonly val_loss: number | null;
  readonly val_bits_per_byte: number | null;
  readonly tokens_per_s: number | null;
  readonly elapsed_s: number;
}

/** A heartbeat younger than this means that the run goes on. */
const ALIVE_S = 60;

/** The exit file is the truth; without one a young heartbeat says that the run goes on, an old one that it was killed. */
function stateOf(directory: string): RunSummary["state"] {
  const heartbeat = readHeartbeat(directory);
  const exit = readExit(directory);
  if (existsSync(join(directory, "lock"))) {
    const age = heartbeatAge(directory);
    if (age !== null && age < ALIVE_S) return "running";
  }
  return exit?.state ?? (heartbeat === null ? "unknown" : "killed");
}

export function runSummary(directory: string, run: string): RunSummary {
  const description = join(directory, "run.json");
  const job = existsSync(description)
    ? String(JSON.parse(readFileSync(description, "utf8")).job ?? "")
    : "";
  const metrics = join(directory, "metrics.jsonl");
  const last = lastMetrics(metrics);
  const validated = lastValidated(metrics);
  return {
    run,
    directory,
    job,
    state: stateOf(directory),
    step: last?.step ?? 0,
    tokens: last?.tokens ?? 0,
    loss: last?.loss ?? null,
    val_loss: validated?.val_loss ?? null,
    val_bits_per_byte: validated?.val_bits_per_byte ?? null,
    tokens_per_s: last?.tokens_per_s ?? null,
    elapsed_s: last?.elapsed_s ?? 0,
  };
}
