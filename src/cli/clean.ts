/** @file theseus clean: what interrupted work left behind under a root, and what was moved aside. */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { lockRun, lockState } from "../train/run_lock.ts";
import { UserError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { bytesText } from "../util/quantities.ts";
import { command } from "./command.ts";
import { listRuns, rootArgs, rootOf } from "./place.ts";
import { type Asked, libraryWaste, type Waste, wasteIn, wholeRun } from "./waste.ts";

/** Holds the run's lock meanwhile, so that no trainer starts in between; null where one is at work. */
function cleaned(directory: string, dryRun: boolean, asked: Asked): Waste[] | null {
  if (lockState(directory) === "held") return null;
  const wasteOf = (): Waste[] => {
    const whole = wholeRun(directory, asked);
    return whole === null ? wasteIn(directory) : [whole];
  };
  const before = wasteOf();
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
    const waste = wasteOf();
    for (const { path } of waste) rmSync(path, { recursive: true, force: true });
    return [...locks, ...waste];
  } finally {
    unlock();
  }
}

export default command({
  name: "clean",
  summary: "delete what interrupted runs, restore and other versions left behind",
  examples: [
    "theseus clean --dry-run",
    "theseus clean out",
    "theseus clean --moved-aside --dead --dry-run",
  ],
  args: {
    dir: { type: "positional", required: false, description: "ROOT, where runs are kept" },
    ...rootArgs,
    "moved-aside": { type: "boolean", description: "whole runs that --fresh moved aside, too" },
    dead: { type: "boolean", description: "whole runs that ended before their first save, too" },
    "dry-run": { type: "boolean", description: "only say what would go" },
  },
  async run({ args }) {
    const root = rootOf(args.dir, args.root);
    if (!existsSync(root)) throw new UserError(`there is no folder ${root}`, { code: "not_found" });
    const dryRun = args["dry-run"] === true;
    const asked = { movedAside: args["moved-aside"] === true, dead: args.dead === true };
    const found: Waste[] = libraryWaste();
    if (!dryRun) for (const { path } of found) rmSync(path, { recursive: true, force: true });
    const live: string[] = [];
    for (const run of listRuns(root)) {
      const waste = cleaned(join(root, "runs", run), dryRun, asked);
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
