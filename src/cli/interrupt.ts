/**
 * @file Ctrl-C, SIGTERM and whatever a cluster sends before it takes the machine: the first asks for an end at the step
 * boundary, a second Ctrl-C ends the process at once.
 */
import { log } from "../util/log.ts";

export const EXIT_INTERRUPTED = 75;
const ORPHAN_MS = 1000;
const EXIT_SIGINT = 130;

/** A job's script names itself; when it was killed, nobody would wait for what it started. */
function onOrphaned(then: () => void): () => void {
  const parent = Number(process.env.THESEUS_PARENT);
  if (!Number.isInteger(parent) || parent !== process.ppid) return () => {};
  const timer = setInterval(() => process.ppid !== parent && then(), ORPHAN_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** Aborted by the first signal, `more` being listened to as well. Call `release` when the work is over. */
export function interruption(
  message: string,
  more: readonly NodeJS.Signals[] = [],
): { signal: AbortSignal; release(): void } {
  const signals = new Set<NodeJS.Signals>(["SIGINT", "SIGTERM", ...more]);
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted && name === "SIGINT") process.exit(EXIT_SIGINT);
    if (controller.signal.aborted) return;
    // Behind the ^C that a terminal shows.
    if (name === "SIGINT" && process.stderr.isTTY) process.stderr.write("\n");
    log.warn(`${name}: ${message}`);
    controller.abort();
  };
  for (const name of signals) process.on(name, onSignal);
  const orphaned = onOrphaned(() => {
    if (controller.signal.aborted) return;
    log.warn(`the job's script is gone: ${message}`);
    controller.abort();
  });
  return {
    signal: controller.signal,
    release() {
      orphaned();
      for (const name of signals) process.off(name, onSignal);
    },
  };
}
