/** @file One task on behalf of a command: progress on stderr, the same as JSON on stdout, Ctrl-C, the exit code. */
import type { LoadedJob } from "../jobs/load_job.ts";
import type { RunPlace } from "../train/run_directory.ts";
import { runTask } from "../train/run_task.ts";
import type { Task, TaskProgress } from "../train/task.ts";
import { log } from "../util/log.ts";
import { EXIT_INTERRUPTED, interruption } from "./interrupt.ts";
import { LiveLine } from "./live_line.ts";
import type { Shown } from "./training.ts";
import { keepUserCode } from "./user_code.ts";

const PRINT_MS = 1000;

export interface TaskInvocation {
  readonly loaded: LoadedJob<Task>;
  readonly place: RunPlace;
  readonly fresh: boolean;
}

export async function runTaskAndReport(
  { loaded, place, fresh }: TaskInvocation,
  shown: Shown,
): Promise<number> {
  const line = new LiveLine();
  const stop = interruption("stopping soon, what is done is kept; press Ctrl-C again to quit now");
  const print = (event: string, values: Readonly<Record<string, unknown>>): void => {
    if (shown.json === true)
      process.stdout.write(`${JSON.stringify({ schema_version: 1, event, ...values })}\n`);
  };
  let printed = Number.NEGATIVE_INFINITY;
  const onProgress = (progress: TaskProgress): void => {
    if (shown.quiet !== true) line.show(progress.text);
    const now = performance.now();
    if (now - printed < PRINT_MS) return;
    printed = now;
    print("progress", { fraction: progress.fraction, ...progress.values });
  };
  try {
    const { job: task, config, source } = loaded;
    const { state, text, values, directory } = await runTask({
      ...{ task, config, place, fresh, onProgress, sourceText: source.text, signal: stop.signal },
      onStart(directory) {
        keepUserCode(directory);
        if (shown.quiet !== true) log.info(`run ${directory}`);
      },
    });
    line.end();
    print("done", { state, directory, ...values });
    log.info(text);
    return state === "interrupted" ? EXIT_INTERRUPTED : 0;
  } finally {
    line.end();
    stop.release();
  }
}
