/** @file Runs a task in a run directory, with the files there that say how it stands. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../config/config.ts";
import { readConfigTexts } from "../config/reread.ts";
import { writeYaml } from "../config/write.ts";
import { writeAtomically } from "../util/atomic_file.ts";
import { UserError } from "../util/errors.ts";
import { VERSION } from "../util/version.ts";
import { environment, openRunDirectory, type RunPlace } from "./run_directory.ts";
import { lockRun } from "./run_lock.ts";
import { readJson, StatusFiles } from "./status_files.ts";
import type { Task, TaskProgress, TaskResult } from "./task.ts";

export interface TaskRequest {
  readonly task: Task;
  readonly config: Config;
  readonly place: RunPlace;
  /** The user's own file, kept beside the resolved configuration. */
  readonly sourceText?: string;
  readonly fresh?: boolean;
  readonly signal?: AbortSignal;
  readonly onStart?: (directory: string) => void;
  readonly onProgress?: (progress: TaskProgress) => void;
}

export interface TaskFinished extends TaskResult {
  readonly directory: string;
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** Where a task runs and what it asks for says nothing of its result. */
const ALWAYS_FREE = /^request\//;

function checkSame(task: Task, before: Config, now: Config): void {
  const lines: string[] = [];
  for (const path of now.schema.fields.keys()) {
    if (task.free.includes(path) || ALWAYS_FREE.test(path)) continue;
    const [was, is] = [JSON.stringify(before.at(path)), JSON.stringify(now.at(path))];
    if (was !== is) lines.push(`  ${path.replaceAll("/", ".")}: ${was} -> ${is}`);
  }
  if (lines.length > 0)
    throw new UserError(`this run cannot go on with another configuration:\n${lines.join("\n")}`, {
      code: "conflict",
      hint: "choose another name, or --fresh to move the old run aside",
    });
}

function attemptsSoFar(directory: string): number {
  const path = join(directory, "events.jsonl");
  if (!existsSync(path)) return 0;
  return readFileSync(path, "utf8").split('"event":"started"').length - 1;
}

/** Throws `conflict` when somebody is at work there, or the configuration differs from the run's own. */
export async function runTask(request: TaskRequest): Promise<TaskFinished> {
  const { task, config, place } = request;
  const { path: directory, existed } = openRunDirectory(place, request.fresh ?? false);
  const unlock = lockRun(directory);
  try {
    const known = readJson<{ job?: string; run_id?: string }>(join(directory, "run.json"));
    if (known?.job !== undefined && known.job !== task.name)
      throw new UserError(`${directory} is a run of ${known.job}, not of ${task.name}`, {
        code: "conflict",
        hint: "choose another name, or --fresh to move the old run aside",
      });
    const before = existed ? readConfigTexts(directory, task.schema) : null;
    if (before !== null) checkSame(task, before, config);
    const write = (name: string, text: string) => writeAtomically(join(directory, name), text);
    const header = `${task.name}: every setting of the run ${place.name}`;
    if (request.sourceText !== undefined) write("config.yaml", request.sourceText);
    write("config.resolved.yaml", writeYaml(task.schema, config, header));
    write("env.json", json(environment(null)));
    const description = { job: task.name, run_id: known?.run_id ?? crypto.randomUUID() };
    write("run.json", json({ ...description, version: VERSION, ...place }));
    request.onStart?.(directory);
    return { directory, ...(await attemptTask(request, directory)) };
  } finally {
    unlock();
  }
}

async function attemptTask(request: TaskRequest, directory: string): Promise<TaskResult> {
  const { task, config, place, signal, onProgress } = request;
  const status = new StatusFiles(directory);
  const attempt = attemptsSoFar(directory) + 1;
  // How an earlier attempt ended is no longer how the run stands.
  rmSync(join(directory, "exit.json"), { force: true });
  status.event({ event: "started", attempt });
  status.beat(0);
  let step = 0;
  const still = status.beatWhileWorking(() => step);
  try {
    const result = await task.run({
      ...{ config, place, directory, attempt },
      signal: signal ?? new AbortController().signal,
      event: (event) => status.event(event),
      progress(progress) {
        // In hundredths: a task has no steps.
        step = Math.floor((progress.fraction ?? 0) * 100);
        status.beat(step);
        onProgress?.(progress);
      },
    });
    const { state, text } = result;
    status.event({ event: state, ...result.values });
    status.exit({ state, step: state === "finished" ? 100 : step, reason: text, attempt });
    return result;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const code = error instanceof UserError ? error.code : "bug";
    status.event({ event: "failed", code, reason });
    status.exit({ state: "failed", step, reason, attempt });
    throw error;
  } finally {
    still();
  }
}
