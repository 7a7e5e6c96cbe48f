/** @file A training run in a process of its own, for tests that kill it: JSON arguments, see `Child`. */
import { appendFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { ValidationLoader } from "../../src/data/loader.ts";
import { loadTraining } from "../../src/jobs/load_job.ts";
import { runTraining } from "../../src/train/run.ts";
import { saveHook } from "../../src/train/save_hooks.ts";
import { UserError } from "../../src/util/errors.ts";

/** The process kills itself, -9, at the `at`-th time that this happens in it. Saves have THESEUS_FAULT. */
export interface KillAt {
  /** A step that has been read (the next one computes), a batch of a validation, or a run of the hook `note`. */
  readonly where: "step" | "validation" | "hook";
  readonly at: number;
}

export interface Child {
  readonly root: string;
  /** The run's group: files that hold the run's own name are then the same in all. */
  readonly name: string;
  readonly text: string;
  readonly overrides: readonly string[];
  readonly allowChange?: boolean;
  readonly kill?: KillAt;
}

function killer(kill: KillAt | undefined): (where: KillAt["where"]) => void {
  let seen = 0;
  return (where) => {
    if (where === kill?.where && ++seen === kill.at) process.kill(process.pid, "SIGKILL");
  };
}

if (import.meta.main) {
  const child = JSON.parse(process.argv[2] ?? "{}") as Child;
  const source = { name: "test", text: child.text };
  const { job, config } = loadTraining(source, child.overrides);
  const strike = killer(child.kill);
  const { fill } = ValidationLoader.prototype;
  ValidationLoader.prototype.fill = function (...args) {
    strike("validation");
    return fill.apply(this, args);
  };
  saveHook({
    name: "note",
    doc: "notes the steps that it has seen",
    run({ step, folder, runDirectory }) {
      strike("hook");
      appendFileSync(join(runDirectory, "noted.txt"), `${step} ${existsSync(folder)}\n`);
    },
  });
  try {
    await runTraining({
      ...{ job, config },
      place: { root: child.root, project: "general", group: child.name, name: "run" },
      allowChange: child.allowChange === true,
      onProgress({ kind }) {
        if (kind === "step") strike("step");
      },
    });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    console.error(error.message);
    process.exit({ conflict: 5, checkpoint: 6 }[error.code as string] ?? 1);
  }
}
