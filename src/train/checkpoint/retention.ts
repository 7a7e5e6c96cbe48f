/** @file Which checkpoints stay: numeric order, only this run's, never the newest verified, the best, or a permanent one. */
import { CheckpointError } from "../../util/errors.ts";
import type { Files } from "./files.ts";
import { parseManifest } from "./manifest.ts";
import { type CheckpointFolder, listCheckpoints } from "./restore.ts";

export interface RetentionRule {
  readonly runId: string;
  /** Ephemeral checkpoints to keep, at least 2. */
  readonly keep: number;
  /** Folder names that must stay: the one resumed from, the best. */
  readonly protect: ReadonlySet<string>;
}

async function isOurs(files: Files, folder: CheckpointFolder, runId: string): Promise<boolean> {
  try {
    const path = `${folder.path}/manifest.json`;
    const manifest = parseManifest(await files.readText(path), path);
    return manifest.run_id === runId && !manifest.permanent;
  } catch (error) {
    // Damaged or foreign: evidence, not ours to delete.
    if (error instanceof CheckpointError || (error instanceof Error && "code" in error))
      return false;
    throw error;
  }
}

/** What the rule lets go, oldest first. */
export async function surplusCheckpoints(
  files: Files,
  root: string,
  rule: RetentionRule,
): Promise<CheckpointFolder[]> {
  const candidates: CheckpointFolder[] = [];
  for (const folder of await listCheckpoints(files, root))
    if (await isOurs(files, folder, rule.runId)) candidates.push(folder);
  const surplus = candidates.slice(0, Math.max(0, candidates.length - Math.max(2, rule.keep)));
  return surplus.filter((folder) => !rule.protect.has(folder.name));
}

/** Deletes what the rule lets go, oldest first, and returns the names. */
export async function applyRetention(
  files: Files,
  root: string,
  rule: RetentionRule,
): Promise<string[]> {
  const gone = await surplusCheckpoints(files, root, rule);
  for (const folder of gone) {
    // Renamed first, so that an interrupted deletion never looks like a checkpoint.
    const grave = `${root}/${folder.name}.tmp-${crypto.randomUUID()}`;
    await files.rename(folder.path, grave);
    await files.remove(grave);
  }
  return gone.map((folder) => folder.name);
}
