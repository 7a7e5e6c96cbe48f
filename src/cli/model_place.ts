/** @file MODEL on the command line: `RUN`, `RUN@best`, `RUN@latest`, `RUN@step-000123`, or a folder that was exported. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { chosenCheckpoint } from "../train/checkpoint/choose.ts";
import { realFiles } from "../train/checkpoint/files.ts";
import {
  type CheckpointFolder,
  listCheckpoints,
  verifyCheckpoint,
} from "../train/checkpoint/restore.ts";
import { WEIGHTS_FILE } from "../train/checkpoint/weight_files.ts";
import { checkpointRoot } from "../train/checkpointer.ts";
import { CheckpointError, UserError } from "../util/errors.ts";
import { log } from "../util/log.ts";
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

export const hasCheckpoints = async (directory: string): Promise<boolean> =>
  (await listCheckpoints(realFiles, checkpointRoot(directory))).length > 0;

export interface ModelFiles {
  readonly runDirectory: string;
  readonly configPath?: string;
  readonly weights?: string;
  /** As the checkpoint's manifest has it. */
  readonly weightsHash?: string;
}

/** The weights that MODEL names: verified, and where no checkpoint is named the newest that verifies. */
export async function modelFiles(model: string, root: string): Promise<ModelFiles> {
  const configPath = join(model, "config.yaml");
  const exported = !existsSync(join(model, "run.json")) && existsSync(join(model, WEIGHTS_FILE));
  if (exported && existsSync(configPath))
    return { runDirectory: model, configPath, weights: join(model, WEIGHTS_FILE) };
  const place = await findModel(model, root);
  const { directory: runDirectory, checkpoint } = place;
  const all = await listCheckpoints(realFiles, checkpointRoot(runDirectory));
  for (const folder of checkpoint === null ? all.reverse() : [checkpoint]) {
    try {
      const { files } = await verifyCheckpoint(realFiles, folder.path);
      const hash = files.find(({ name }) => name === WEIGHTS_FILE)?.hash;
      const weights = join(folder.path, WEIGHTS_FILE);
      return { runDirectory, weights, ...(hash === undefined ? {} : { weightsHash: hash }) };
    } catch (error) {
      if (checkpoint !== null || !(error instanceof CheckpointError)) throw error;
      log.warn(`${error.place.path ?? folder.path}: ${error.message}; trying an older checkpoint`);
    }
  }
  if (all.length > 0)
    throw new CheckpointError(`none of the ${all.length} checkpoints of ${place.run} is usable`);
  return { runDirectory };
}
