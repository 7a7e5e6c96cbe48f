/** @file Finds the checkpoint to go on from: the newest that verifies, falling back loudly. */
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { CheckpointError } from "../../util/errors.ts";
import { hashFile } from "../../util/window_hash.ts";
import type { Files } from "./files.ts";
import { type Manifest, parseManifest } from "./manifest.ts";

export interface CheckpointFolder {
  readonly step: number;
  readonly name: string;
  readonly path: string;
}

const NAME = /^step-(\d+)$/;
const TEMPORARY = /^(step-\d+\.tmp-[0-9a-f-]{36}|\.[\w.]+\.tmp-[0-9a-f-]{36})$/;

/** Whether an interrupted save or deletion of ours left this name behind. */
export const isTemporary = (name: string): boolean => TEMPORARY.test(name);

/** Committed checkpoints, by number, oldest first. */
export async function listCheckpoints(files: Files, root: string): Promise<CheckpointFolder[]> {
  const found: CheckpointFolder[] = [];
  for (const name of await files.list(root)) {
    const match = NAME.exec(name);
    if (match !== null) found.push({ step: Number(match[1]), name, path: `${root}/${name}` });
  }
  return found.sort((a, b) => a.step - b.step);
}

/** Removes what interrupted saves left behind; only names that our own saves make. */
export async function removeTemporary(files: Files, root: string): Promise<string[]> {
  const stale = (await files.list(root)).filter(isTemporary);
  for (const name of stale) await files.remove(`${root}/${name}`);
  return stale;
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch {
    return undefined;
  }
}

/** Reads the manifest and compares every file with it. Throws CheckpointError that names the file at fault. */
export async function verifyCheckpoint(files: Files, folder: string): Promise<Manifest> {
  const path = `${folder}/manifest.json`;
  let text: string;
  try {
    text = await files.readText(path);
  } catch {
    throw new CheckpointError("no readable manifest", { place: { path } });
  }
  const manifest = parseManifest(text, path);
  const step = NAME.exec(basename(folder))?.[1];
  if (step !== undefined && Number(step) !== manifest.step)
    throw new CheckpointError(`it is the manifest of step ${manifest.step}`, { place: { path } });
  for (const file of manifest.files) {
    const place = { path: `${folder}/${file.name}` };
    const size = await sizeOf(place.path);
    if (size === undefined) throw new CheckpointError("the file is missing", { place });
    if (size !== file.bytes)
      throw new CheckpointError(`expected ${file.bytes} bytes, found ${size}`, { place });
    const hash = await hashFile(place.path);
    const [kind] = hash.split(":");
    if (!file.hash.startsWith(`${kind}:`))
      throw new CheckpointError(`expected a hash of the kind ${kind}, found "${file.hash}"`, {
        hint: `it was written by theseus ${manifest.program_version}, which can verify it`,
        place,
      });
    if (hash !== file.hash)
      throw new CheckpointError(`damaged: expected hash ${file.hash}, found ${hash}`, { place });
  }
  return manifest;
}

export interface Verified {
  readonly folder: CheckpointFolder;
  readonly manifest: Manifest;
}

/**
 * The newest checkpoint of run `runId` that verifies; null when the folder holds none at all. `onProblem` hears of every
 * one passed over. Throws CheckpointError when there are checkpoints but none is usable: never start over silently.
 */
export async function newestVerified(
  files: Files,
  root: string,
  runId: string,
  onProblem: (message: string) => void,
): Promise<Verified | null> {
  const folders = await listCheckpoints(files, root);
  for (const folder of [...folders].reverse()) {
    try {
      const manifest = await verifyCheckpoint(files, folder.path);
      if (manifest.run_id === runId) return { folder, manifest };
      onProblem(`${folder.path} belongs to another run (${manifest.run_id}); passed over`);
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      onProblem(`${error.place.path ?? folder.path}: ${error.message}; trying an older checkpoint`);
    }
  }
  if (folders.length === 0) return null;
  throw new CheckpointError(`none of the ${folders.length} checkpoints in ${root} is usable`, {
    hint: "--fresh moves the old run aside and starts at step 0",
  });
}
