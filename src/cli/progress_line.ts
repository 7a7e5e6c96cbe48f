/** @file Draws a run's progress on stderr: one live line on a terminal, else a plain line now and then. */
import type { Progress, RunStarted, StepDone } from "../train/progress.ts";
import { log } from "../util/log.ts";
import { bytesText, countText } from "../util/quantities.ts";
import { durationText } from "./format.ts";

const REDRAW_MS = 100;
const PLAIN_MS = 10_000;

function startedText(event: RunStarted): string[] {
  const { resumedFrom, threads } = event;
  return [
    `run ${event.directory}${resumedFrom === null ? "" : `: goes on from step ${resumedFrom}`}`,
    `${countText(event.parameters)} parameters, ${event.precision} on ${event.device}` +
      `${threads === null ? "" : ` with ${threads} threads`}, ${bytesText(event.memoryBytes)}`,
    `${event.dataset}: ${countText(event.trainTokens)} training tokens; ` +
      `${event.steps} steps of ${countText(event.tokensPerStep)} tokens`,
  ];
}

function stepText({ metrics, steps, etaSeconds }: StepDone): string {
  const mfu = metrics.mfu === null ? "" : `  mfu ${(metrics.mfu * 100).toFixed(1)}%`;
  return (
    `step ${String(metrics.step).padStart(String(steps).length)}/${steps}` +
    `  loss ${metrics.loss.toFixed(4)}  ${countText(metrics.tokens_per_s)} tokens/s${mfu}` +
    `  eta ${durationText(etaSeconds)}`
  );
}

export class ProgressLine {
  private readonly live: boolean;
  private drawn = 0;

  constructor(stream: { isTTY?: boolean } = process.stderr) {
    this.live = stream.isTTY === true && process.env.TERM !== "dumb";
  }

  show(event: Progress): void {
    if (event.kind === "started") for (const line of startedText(event)) log.info(line);
    else if (event.kind === "step") this.step(event);
    else {
      this.end();
      if (event.kind === "sample")
        log.info(`step ${event.step}  sample: ${event.prompt}${event.text}`);
    }
  }

  private step(event: StepDone): void {
    const { metrics, steps } = event;
    const now = performance.now();
    const last = metrics.step === steps || metrics.step === 1;
    if (last || now - this.drawn >= (this.live ? REDRAW_MS : PLAIN_MS)) {
      this.drawn = now;
      if (this.live) process.stderr.write(`\r\x1b[2K${stepText(event)}`);
      else log.info(stepText(event));
    }
    if (metrics.val_loss !== undefined) {
      this.end();
      const bits = metrics.val_bits_per_byte?.toFixed(3) ?? "-";
      const loss = metrics.val_loss.toFixed(4);
      log.info(`step ${metrics.step}  validation loss ${loss}  ${bits} bits per byte`);
    }
  }

  /** Leaves the live line behind, so that other text starts on its own. */
  end(): void {
    if (this.live && this.drawn > 0) process.stderr.write("\r\x1b[2K");
  }
}
