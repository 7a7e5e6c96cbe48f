/** @file Ctrl-C and SIGTERM: the first asks for an end at the step boundary, a second Ctrl-C ends the process at once. */
import { log } from "../util/log.ts";

export const EXIT_INTERRUPTED = 75;
const EXIT_SIGINT = 130;

/** Aborted by the first signal. Call `release` when the work is over. */
export function interruption(message: string): { signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted && name === "SIGINT") process.exit(EXIT_SIGINT);
    process.stderr.write("\n");
    log.warn(message);
    controller.abort();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return {
    signal: controller.signal,
    release() {
      process.off("SIGINT", onSignal);
      process.off("SIGTERM", onSignal);
    },
  };
}
