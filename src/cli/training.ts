/** @file One training run on behalf of a command: progress on stderr, metrics as JSON on stdout, Ctrl-C, the exit code. */

import { trainingFields } from "../train/fields.ts";
import type { RunFinished } from "../train/progress.ts";
import { runTraining, type TrainingRequest } from "../train/run.ts";
import { log } from "../util/log.ts";
import { durationText } from "./format.ts";
import { EXIT_INTERRUPTED, interruption } from "./interrupt.ts";
import { ProgressLine } from "./progress_line.ts";
import { keepUserCode } from "./user_code.ts";

export interface Shown {
  readonly json?: boolean | undefined;
  readonly quiet?: boolean | undefined;
}

function report(finished: RunFinished, json: boolean): void {
  const { reason, step, loss, valLoss, valBitsPerByte, directory, elapsedSeconds } = finished;
  if (json) {
    const done = { schema_version: 1, event: "done", reason, step, loss, val_loss: valLoss };
    const more = { val_bits_per_byte: valBitsPerByte, directory, elapsed_s: elapsedSeconds };
    process.stdout.write(`${JSON.stringify({ ...done, ...more })}\n`);
  }
  const result = valBitsPerByte === null ? "" : `, ${valBitsPerByte.toFixed(3)} bits per byte`;
  const time = durationText(elapsedSeconds);
  log.info(`${reason} after ${step} steps in ${time}: loss ${loss.toFixed(4)}${result}`);
}

export async function trainAndReport(request: TrainingRequest, shown: Shown): Promise<number> {
  const line = new ProgressLine();
  const preemption = request.config.get(trainingFields.preemptionSignal);
  const stop = interruption(
    "stopping after this step; press Ctrl-C again to quit now",
    preemption === "none" ? [] : [preemption],
  );
  try {
    const finished = await runTraining({
      ...request,
      signal: stop.signal,
      onProgress(event) {
        if (event.kind === "started") keepUserCode(event.directory);
        if (shown.quiet !== true) line.show(event);
        if (shown.json === true && event.kind === "step")
          process.stdout.write(`${JSON.stringify({ schema_version: 1, ...event.metrics })}\n`);
      },
    });
    report(finished, shown.json === true);
    return finished.reason === "interrupted" ? EXIT_INTERRUPTED : 0;
  } finally {
    line.end();
    stop.release();
  }
}
