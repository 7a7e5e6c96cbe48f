/** @file theseus clean: what interrupted work left behind under a root, and what `restore` moved aside. */
import { existsSync, lstatSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isTemporary } from "../train/checkpoint/restore.ts";
import { SUPERSEDED } from "../train/checkpoint/supersede.ts";
import { checkpointRoot } from "../train/checkpointer.ts";
import { lockRun, lockState } from "../train/run_lock.ts";
import { UserError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { command } from "./command.ts";
import { bytesText } from "./format.ts";
import { listRuns, rootArgs, rootOf } from "./place.ts";

interface Waste {
  readonly path: string;
  readonly what: "temporary" | "superseded" | "lock" | "request";
  readonly bytes: number;
}

/** Names that our own atomic writes use inside a run directory. */
const TEMPORARY_FILE = /^[\w.-]+\.tmp$/;
/** A trainer that is starting makes one for a moment, before it has the lock. */
const LOCK_FILE = /^lock\.[0-9a-f-]{36}$/;
const LOCK_FILE_MS = 60_000;

function bytesOf(path: string): number {
  const stat = lstatSync(path);
  if (!stat.isDirectory()) return stat.size;
  return readdirSync(path).reduce((sum, name) => sum + bytesOf(join(path, name)), 0);
}

const namesIn = (path: string): string[] => (existsSync(path) ? readdirSync(path) : []);

/** What can go from a run that nobody works in. */
function wasteOf(directory: string): Waste[] {
  const waste = (path: string, what: Waste["what"]): Waste => ({
    path,
    what,
    bytes: bytesOf(path),
  });
  const root = checkpointRoot(directory);
  const out = namesIn(root)
    .filter(isTemporary)
    .map((name) => waste(join(root, name), "temporary"));
  for (const name of namesIn(directory)) {
    const path = join(directory, name);
    const old = LOCK_FILE.test(name) && Date.now() - lstatSync(path).mtimeMs > LOCK_FILE_MS;
    if (old || TEMPORARY_FILE.test(name)) out.push(waste(path, "temporary"));
    else if (name === SUPERSEDED) out.push(waste(path, "superseded"));
    else if (name === "checkpoint.request") out.push(waste(path, "request"));
    else if (name === "lock" && lockState(directory) === "dead") out.push(waste(path, "lock"));
  }
  return out;
}

/** Holds the run's lock meanwhile, so that no trainer starts in between; null where one is at work. */
function cleaned(directory: string, dryRun: boolean): Waste[] | null {
  if (lockState(directory) === "held") return null;
  const before = wasteOf(directory);
  if (dryRun || before.length === 0) return before;
  let unlock: () => void;
  try {
    unlock = lockRun(directory);
  } catch (error) {
    if (error instanceof UserError && error.code === "conflict") return null;
    throw error;
  }
  try {
    // Looked for again: a trainer may have come and gone. Taking the lock has removed a dead one.
    const locks = before.filter(({ what }) => what === "lock");
    const waste = wasteOf(directory);
    for (const { path } of waste) rmSync(path, { recursive: true, force: true });
    return [...locks, ...waste];
  } finally {
    unlock();
  }
}

export default command({
  name: "clean",
  summary: "delete what interrupted runs and restore left behind",
  examples: ["theseus clean --dry-run", "theseus clean out"],
  args: {
    dir: { type: "positional", required: false, description: "ROOT, where runs are kept" },
    ...rootArgs,
    "dry-run": { type: "boolean", description: "only say what would go" },
  },
  async run({ args }) {
    const root = rootOf(args.dir, args.root);
    if (!existsSync(root)) throw new UserError(`there is no folder ${root}`, { code: "not_found" });
    const dryRun = args["dry-run"] === true;
    const found: Waste[] = [];
    const live: string[] = [];
    for (const run of listRuns(root)) {
      const waste = cleaned(join(root, "runs", run), dryRun);
      if (waste === null) live.push(run);
      else found.push(...waste);
    }
    const bytes = found.reduce((sum, each) => sum + each.bytes, 0);
    if (args.json === true) {
      const body = { schema_version: 1, root, dry_run: dryRun, deleted: found, bytes, live };
      process.stdout.write(`${JSON.stringify(body)}\n`);
      return 0;
    }
    const verb = dryRun ? "would delete" : "deleted";
    for (const { path, what, bytes: size } of found)
      process.stdout.write(`${verb} ${path} (${what}, ${bytesText(size)})\n`);
    for (const run of live) log.info(`${run} is running: left alone`);
    const end = found.length === 0 ? "nothing to delete" : `${verb} ${bytesText(bytes)} in all`;
    process.stdout.write(`${end}\n`);
    return 0;
  },
});
