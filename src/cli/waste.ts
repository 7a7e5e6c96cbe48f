/** @file What `clean` may delete: leavings of interrupted work, what was moved aside, libraries of other versions. */
import { existsSync, lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { JOBS } from "../jobs/registry.ts";
import { unusedLibraries } from "../runtime/index.ts";
import { isTemporary } from "../train/checkpoint/restore.ts";
import { SUPERSEDED } from "../train/checkpoint/supersede.ts";
import { checkpointRoot } from "../train/checkpointer.ts";
import { lockState } from "../train/run_lock.ts";
import { readExit, readJson } from "../train/status_files.ts";

export interface Waste {
  readonly path: string;
  readonly what:
    | "temporary"
    | "superseded"
    | "lock"
    | "request"
    | "library"
    | "moved-aside run"
    | "dead run";
  readonly bytes: number;
}

/** Names that our own atomic writes use inside a run directory. */
const TEMPORARY_FILE = /^[\w.-]+\.tmp$/;
/** A trainer that is starting makes one for a moment, before it has the lock. */
const LOCK_FILE = /^lock\.(?:over-)?[0-9a-f-]{36}(?:\.(?:over-)?[0-9a-f-]{36})*$/;
const LOCK_FILE_MS = 60_000;
/** As `--fresh` names what it moves aside. */
const MOVED_ASIDE = /\.old-\d+$/;

function bytesOf(path: string): number {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined || !stat.isDirectory()) return stat?.size ?? 0;
  return readdirSync(path).reduce((sum, name) => sum + bytesOf(join(path, name)), 0);
}

const waste = (path: string, what: Waste["what"]): Waste => ({ path, what, bytes: bytesOf(path) });

const namesIn = (path: string): string[] => (existsSync(path) ? readdirSync(path) : []);

/** What can go from a run that nobody works in. */
export function wasteIn(directory: string): Waste[] {
  const root = checkpointRoot(directory);
  const out = namesIn(root)
    .filter(isTemporary)
    .map((name) => waste(join(root, name), "temporary"));
  for (const name of namesIn(directory)) {
    const path = join(directory, name);
    const made = lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    const old = LOCK_FILE.test(name) && Date.now() - made > LOCK_FILE_MS;
    if (old || TEMPORARY_FILE.test(name)) out.push(waste(path, "temporary"));
    else if (name === SUPERSEDED) out.push(waste(path, "superseded"));
    else if (name === "checkpoint.request") out.push(waste(path, "request"));
    else if (name === "lock" && lockState(directory) === "dead") out.push(waste(path, "lock"));
  }
  return out;
}

/** A job that was handed to a queue and has not ended there. */
function isSubmitted(directory: string): boolean {
  const state = readExit(directory)?.state;
  return existsSync(join(directory, "submit")) && state !== "finished" && state !== "failed";
}

/** A training that ended, or was killed, before its first checkpoint: there is nothing to go on from. */
function isDead(directory: string): boolean {
  const job = readJson<{ job?: string }>(join(directory, "run.json"))?.job ?? "";
  if (JOBS.find(job)?.kind !== "training") return false;
  const saved = namesIn(checkpointRoot(directory)).some((name) => /^step-\d+$/.test(name));
  return !saved && readExit(directory)?.state !== "finished";
}

export interface Asked {
  readonly movedAside: boolean;
  readonly dead: boolean;
}

/** The whole run, where it was asked for that; null: the run stays. The caller knows that nobody works in it. */
export function wholeRun(directory: string, asked: Asked): Waste | null {
  if (isSubmitted(directory)) return null;
  if (asked.movedAside && MOVED_ASIDE.test(directory)) return waste(directory, "moved-aside run");
  return asked.dead && isDead(directory) ? waste(directory, "dead run") : null;
}

export const libraryWaste = (): Waste[] => unusedLibraries().map((path) => waste(path, "library"));
