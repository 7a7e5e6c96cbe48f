/** @file MODEL on the command line: `RUN`, `RUN@best`, `RUN@latest` or `RUN@step-000123`. */
import { chosenCheckpoint } from "../train/checkpoint/choose.ts";
import { realFiles } from "../train/checkpoint/files.ts";
import { type CheckpointFolder, listCheckpoints } from "../train/checkpoint/restore.ts";
import { checkpointRoot } from "../train/checkpointer.ts";
import { UserError } from "../util/errors.ts";
import { findRun } from "./place.ts";

export interface ModelPlace {
  readonly directory: string;
  /** As RUN was written. */
  readonly run: string;
  /** Null where none was named. */
  readonly checkpoint: CheckpointFolder | null;
}

export async function findModel(model: string, root: string): Promise<ModelPlace> {
  const at = model.lastIndexOf("@");
  const run = at === -1 ? model : model.slice(0, at);
  const directory = findRun(run, root);
  if (at === -1) return { directory, run, checkpoint: null };
  const folder = checkpointRoot(directory);
  return {
    directory,
    run,
    checkpoint: await chosenCheckpoint(realFiles, folder, model.slice(at + 1)),
  };
}

/** The named checkpoint, or all there are; throws `not_found` when there is none. */
export async function checkpointsOf(place: ModelPlace): Promise<readonly CheckpointFolder[]> {
  if (place.checkpoint !== null) return [place.checkpoint];
  const root = checkpointRoot(place.directory);
  const all = await listCheckpoints(realFiles, root);
  if (all.length === 0) throw new UserError(`${root} holds no checkpoint`, { code: "not_found" });
  return all;
}
