/** @file Going back: checkpoints newer than the chosen one leave the folder that a restart looks into, but are not deleted. */

import { existsSync } from "node:fs";
import { pointedTo } from "./choose.ts";
import { type Files, replaceText } from "./files.ts";
import { type CheckpointFolder, listCheckpoints, verifyCheckpoint } from "./restore.ts";

export const SUPERSEDED = "superseded";

/** A name that is free: a run may go back more than once. */
async function freeName(files: Files, folder: string, name: string): Promise<string> {
  const taken = new Set(await files.list(folder));
  let number = 1;
  let free = name;
  while (taken.has(free)) free = `${name}.${++number}`;
  return free;
}

/**
 * Verifies `chosen`, then moves every newer checkpoint of `root` to the folder `grave`, the newest first, so that a crash in
 * between leaves what the resume rule can read. Returns the names of what was moved. Nothing else may be at work in the run.
 */
export async function supersedeNewer(
  files: Files,
  root: string,
  grave: string,
  chosen: CheckpointFolder,
): Promise<string[]> {
  const manifest = await verifyCheckpoint(files, chosen.path);
  const newer = (await listCheckpoints(files, root)).filter(({ step }) => step > chosen.step);
  if (newer.length > 0 && !existsSync(grave)) await files.makeFolder(grave);
  for (const { name, path } of newer.reverse())
    await files.rename(path, `${grave}/${await freeName(files, grave, name)}`);
  if (newer.length > 0) {
    await files.syncFolder(grave);
    await files.syncFolder(root);
  }
  await replaceText(files, root, "latest", `${chosen.name}\n`);
  const best = await pointedTo(files, root, "best");
  if (newer.some(({ name }) => name === best)) await pointToOlderBest(files, root, manifest.state);
  return newer.map(({ name }) => name);
}

/** The best that the chosen checkpoint knew of, if it is still there. */
async function pointToOlderBest(
  files: Files,
  root: string,
  state: Readonly<Record<string, unknown>>,
): Promise<void> {
  const best = state.best as { readonly step?: unknown } | null | undefined;
  const older = (await listCheckpoints(files, root)).find(({ step }) => step === best?.step);
  if (older === undefined) await files.remove(`${root}/best`);
  else await replaceText(files, root, "best", `${older.name}\n`);
}
