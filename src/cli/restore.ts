/** @file theseus restore: goes on from a checkpoint with the run's own configuration, exactly. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { loadTraining } from "../jobs/load_job.ts";
import { checkpointsOf, findModel } from "../jobs/model_place.ts";
import { realFiles } from "../train/checkpoint/files.ts";
import type { CheckpointFolder } from "../train/checkpoint/restore.ts";
import { SUPERSEDED, supersedeNewer } from "../train/checkpoint/supersede.ts";
import { checkpointRoot } from "../train/checkpointer.ts";
import { cutMetrics } from "../train/cut_metrics.ts";
import type { RunPlace } from "../train/run_directory.ts";
import { lockRun } from "../train/run_lock.ts";
import { UserError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { command } from "./command.ts";
import { rootArgs, rootOf } from "./place.ts";
import { trainAndReport } from "./training.ts";
import { loadArgs, loadUserCode } from "./user_code.ts";

/** The folder itself says where it is: it may have been moved since the run began. */
function placeOf(directory: string): RunPlace {
  const group = dirname(resolve(directory));
  const project = dirname(group);
  const runs = dirname(project);
  if (basename(runs) !== "runs")
    throw new UserError(`expected a run directory ROOT/runs/project/group/name, got ${directory}`, {
      code: "config",
    });
  return {
    root: dirname(runs),
    project: basename(project),
    group: basename(group),
    name: basename(resolve(directory)),
  };
}

async function goBack(directory: string, checkpoint: CheckpointFolder): Promise<void> {
  const root = checkpointRoot(directory);
  const unlock = lockRun(directory);
  try {
    const grave = join(directory, SUPERSEDED);
    const moved = await supersedeNewer(realFiles, root, grave, checkpoint);
    mkdirSync(grave, { recursive: true });
    cutMetrics(directory, grave, checkpoint.step);
    if (moved.length > 0) log.info(`moved ${moved.reverse().join(", ")} to ${grave}`);
  } finally {
    unlock();
  }
}

export default command({
  name: "restore",
  summary: "go on from a checkpoint with its own configuration",
  examples: ["theseus restore first", "theseus restore first@step-000500"],
  args: {
    run: { type: "positional", required: true, description: "RUN, or RUN@best, RUN@step-000123" },
    ...rootArgs,
  },
  repeated: loadArgs,
  async run({ args, repeated }) {
    await loadUserCode(repeated.load);
    const found = await findModel(args.run, rootOf(undefined, args.root));
    const { directory, checkpoint } = found;
    const path = join(directory, "config.resolved.yaml");
    if (!existsSync(path))
      throw new UserError(`${directory} has no config.resolved.yaml`, { code: "not_found" });
    const { job, config } = loadTraining({ name: path, text: readFileSync(path, "utf8") });
    const place = placeOf(directory);
    await checkpointsOf(found);
    if (checkpoint !== null) await goBack(directory, checkpoint);
    return trainAndReport({ job, config, place }, args);
  },
});
