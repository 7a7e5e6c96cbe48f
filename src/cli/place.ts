/** @file Where runs live: ROOT is the last positional, else --root, else THESEUS_ROOT, else ./theseus-out. */
export { findRun, listRuns } from "../train/find_run.ts";

export const rootArgs = {
  root: { type: "string", valueHint: "dir", description: "where runs are kept" },
} as const;

export const rootOf = (positional: string | undefined, flag: string | undefined): string =>
  positional ?? flag ?? (process.env.THESEUS_ROOT || "theseus-out");
