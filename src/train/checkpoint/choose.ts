/** @file The checkpoint that a user names: `best`, `latest`, `step-000123`, `step-123` or `123`. */
import { UserError } from "../../util/errors.ts";
import type { Files } from "./files.ts";
import { type CheckpointFolder, listCheckpoints } from "./restore.ts";

/** What `latest` or `best` points to; null when there is no such file. */
export async function pointedTo(
  files: Files,
  root: string,
  pointer: "latest" | "best",
): Promise<string | null> {
  try {
    return (await files.readText(`${root}/${pointer}`)).trim();
  } catch {
    return null;
  }
}

/** Throws `not_found`, naming what there is. `root` is the folder of a run's checkpoints. */
export async function chosenCheckpoint(
  files: Files,
  root: string,
  which: string,
): Promise<CheckpointFolder> {
  const all = await listCheckpoints(files, root);
  const pointer = which === "best" || which === "latest" ? which : null;
  const name = pointer === null ? which : await pointedTo(files, root, pointer);
  const step = Number(/^(?:step-)?(\d+)$/.exec(name ?? "")?.[1] ?? Number.NaN);
  const found = all.find((folder) => folder.step === step);
  if (found !== undefined) return found;
  const names = all.map((folder) => folder.name).join(", ");
  throw new UserError(`no checkpoint "${which}" in ${root}`, {
    code: "not_found",
    hint: all.length === 0 ? "the run has none yet" : `there are ${names}`,
  });
}
