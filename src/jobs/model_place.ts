/**
 * @file What MODEL means, on the command line and in configurations: `RUN`, `RUN@best`, `RUN@latest`, `RUN@step-000123`, a folder
 * that was exported, a Hugging Face folder (a model's or an adapter's), or `hf:org/name`.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CONFIG_JSON } from "../models/exchange/config_json.ts";
import { ADAPTER_FILE, ADAPTER_JSON, readAdapterJson } from "../train/adapter_folder.ts";
import { chosenCheckpoint } from "../train/checkpoint/choose.ts";
import { realFiles } from "../train/checkpoint/files.ts";
import {
  type CheckpointFolder,
  listCheckpoints,
  verifyCheckpoint,
} from "../train/checkpoint/restore.ts";
import { WEIGHTS_FILE } from "../train/checkpoint/weight_files.ts";
import { checkpointRoot } from "../train/checkpointer.ts";
import { findRun } from "../train/find_run.ts";
import { CheckpointError, UserError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { hubModel } from "./hub_model.ts";

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
  /** Of a run; else the folder itself. */
  readonly runDirectory: string;
  readonly configPath?: string;
  /** A file, or a folder where the weights are in shards or an adapter's. */
  readonly weights?: string;
  /** As the checkpoint's manifest has it. */
  readonly weightsHash?: string;
}

/** A folder that is no run: one that theseus exported, or Hugging Face's. */
function folderFiles(folder: string): ModelFiles | undefined {
  const has = (name: string): boolean => existsSync(join(folder, name));
  if (has("run.json")) return undefined;
  const files = { runDirectory: folder, weights: folder };
  if (has("config.yaml") && (has(WEIGHTS_FILE) || has(CONFIG_JSON) || has(ADAPTER_FILE)))
    return { ...files, configPath: join(folder, "config.yaml") };
  return has(CONFIG_JSON) || has(ADAPTER_JSON) ? files : undefined;
}

/** The file of a checkpoint that says what its weights are; an adapter needs its configuration too. */
const weightsAt = (folder: string): string =>
  existsSync(join(folder, ADAPTER_FILE)) ? folder : join(folder, WEIGHTS_FILE);

/** A folder that is no run, as MODEL names it: on this machine or on the hub. */
export async function modelFolder(model: string): Promise<ModelFiles | undefined> {
  const found = folderFiles(model.startsWith("hf:") ? await hubModel(model.slice(3)) : model);
  if (found !== undefined && existsSync(join(found.runDirectory, ADAPTER_JSON))) {
    // What the adapters belong to must be at hand when they are opened.
    const { base } = readAdapterJson(found.runDirectory);
    if (!existsSync(base)) await hubModel(base);
  }
  return found;
}

/** The weights that MODEL names: verified, and where no checkpoint is named the newest that verifies. */
export async function modelFiles(model: string, root: string): Promise<ModelFiles> {
  const named = await modelFolder(model);
  if (named !== undefined) return named;
  const place = await findModel(model, root);
  const { directory: runDirectory, checkpoint } = place;
  const all = await listCheckpoints(realFiles, checkpointRoot(runDirectory));
  for (const folder of checkpoint === null ? all.reverse() : [checkpoint]) {
    try {
      const { files } = await verifyCheckpoint(realFiles, folder.path);
      const hash = files.find(({ name }) => name === WEIGHTS_FILE || name === ADAPTER_FILE)?.hash;
      const weights = weightsAt(folder.path);
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
