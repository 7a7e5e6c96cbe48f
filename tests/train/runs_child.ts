/** @file A training run in a process of its own, for tests that kill it: JSON arguments, see `Child`. */
import { loadTraining } from "../../src/jobs/load_job.ts";
import { runTraining } from "../../src/train/run.ts";
import { UserError } from "../../src/util/errors.ts";

export interface Child {
  readonly root: string;
  readonly name: string;
  readonly text: string;
  readonly overrides: readonly string[];
  readonly allowChange?: boolean;
}

if (import.meta.main) {
  const child = JSON.parse(process.argv[2] ?? "{}") as Child;
  const source = { name: "test", text: child.text };
  const { job, config } = loadTraining(source, child.overrides);
  try {
    await runTraining({
      ...{ job, config },
      place: { root: child.root, project: "general", group: "default", name: child.name },
      allowChange: child.allowChange === true,
    });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    console.error(error.message);
    process.exit(error.code === "conflict" ? 5 : 1);
  }
}
