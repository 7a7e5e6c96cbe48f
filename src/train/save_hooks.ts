/**
 * @file What is done with every checkpoint after it is saved, by name (`checkpoint.after_save`); users' code adds its own with
 * `saveHook(...)`. events.jsonl notes what is done: a hook that a kill cut short runs again when the run goes on from that
 * checkpoint, so a hook must bear to run twice. One that fails is a warning, and never ends training.
 */
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { log } from "../util/log.ts";
import { Registry } from "../util/registry.ts";
import { copyWeights } from "./checkpoint/copy_weights.ts";
import { readEvents, type StatusFiles } from "./status_files.ts";

export interface SavedCheckpoint {
  readonly step: number;
  /** It stays until the hook is done. */
  readonly folder: string;
  readonly runDirectory: string;
}

export interface SaveHook {
  readonly name: string;
  readonly doc: string;
  /** Training goes on meanwhile, but the next save waits for it. */
  run(saved: SavedCheckpoint): void | Promise<void>;
}

const exportWeights: SaveHook = {
  name: "export",
  doc: "keeps the weights of every checkpoint in the run's folder exports",
  run({ folder, runDirectory }) {
    const out = join(runDirectory, "exports", basename(folder));
    if (!existsSync(out)) copyWeights(folder, out, true);
  },
};

export const SAVE_HOOKS = new Registry<SaveHook>("save hook", [exportWeights]);

/** Registers a hook: a configuration may then name it in `checkpoint.after_save`. */
export function saveHook(hook: SaveHook): SaveHook {
  SAVE_HOOKS.register(hook);
  return hook;
}

/** Runs the named hooks that are not noted as done for this checkpoint, in order. */
export async function runSaveHooks(
  names: readonly string[],
  saved: SavedCheckpoint,
  status: StatusFiles,
): Promise<void> {
  if (names.length === 0) return;
  const { step, runDirectory } = saved;
  // A checkpoint of an earlier attempt may have had the same step: what was done then was done with another one.
  const events = readEvents(runDirectory);
  const since = events.findLastIndex((each) => each.event === "saved" && each.step === step);
  const done = new Set(
    events
      .slice(since + 1)
      .filter((each) => each.event === "hook_done" && each.step === step)
      .map(({ hook }) => hook),
  );
  for (const hook of new Set(names)) {
    if (done.has(hook)) continue;
    try {
      await SAVE_HOOKS.named(hook).run(saved);
      status.event({ event: "hook_done", hook, step });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      log.warn(`the hook ${hook} failed after the save of step ${step}: ${message}`);
      status.event({ event: "hook_failed", hook, step, message });
    }
  }
}
