/** @file theseus checkpoint prune: retention by hand. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { pointedTo } from "../train/checkpoint/choose.ts";
import { realFiles } from "../train/checkpoint/files.ts";
import { newestVerified } from "../train/checkpoint/restore.ts";
import { applyRetention, surplusCheckpoints } from "../train/checkpoint/retention.ts";
import { checkpointRoot } from "../train/checkpointer.ts";
import { lockRun } from "../train/run_lock.ts";
import { readJson } from "../train/status_files.ts";
import { CheckpointError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { bytesText } from "../util/quantities.ts";
import { command, UsageError } from "./command.ts";
import { findRun, rootArgs, rootOf } from "./place.ts";

/** Never fewer: a second one is there when the newest turns out damaged. */
const KEEP_MIN = 2;

const folderBytes = (path: string): number =>
  readdirSync(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0);

async function ruleFor(directory: string, keep: number) {
  const root = checkpointRoot(directory);
  const runId = readJson<{ run_id?: string }>(join(directory, "run.json"))?.run_id;
  if (runId === undefined)
    throw new CheckpointError('expected the run\'s id as "run_id", found none', {
      hint: "without it nobody knows whose checkpoints these are: compare their manifests, delete by hand",
      place: { path: join(directory, "run.json") },
    });
  const newest = await newestVerified(realFiles, root, runId, (message) => log.warn(message));
  const best = await pointedTo(realFiles, root, "best");
  const protect = new Set([newest?.folder.name, best].filter((name) => typeof name === "string"));
  return { runId, keep, protect };
}

export const checkpointPrune = command({
  name: "checkpoint prune",
  summary: "delete older checkpoints of a run that is not running",
  examples: [
    "theseus checkpoint prune first --keep 3 --dry-run",
    "theseus checkpoint prune first --keep 2",
  ],
  args: {
    run: { type: "positional", required: true, description: "run directory, or its name" },
    ...rootArgs,
    keep: {
      type: "string",
      default: String(KEEP_MIN),
      description: "newest to keep; the best and the permanent ones stay besides",
    },
    "dry-run": { type: "boolean", description: "only say what would go" },
  },
  async run({ args }) {
    const keep = Number(args.keep);
    if (!Number.isInteger(keep) || keep < KEEP_MIN)
      throw new UsageError(`--keep expected an integer >= ${KEEP_MIN}, got "${args.keep}"`);
    const directory = findRun(args.run, rootOf(undefined, args.root));
    const root = checkpointRoot(directory);
    const dryRun = args["dry-run"] === true;
    const unlock = lockRun(directory);
    try {
      const rule = await ruleFor(directory, keep);
      const surplus = await surplusCheckpoints(realFiles, root, rule);
      const sizes = surplus.map(({ name, path }) => ({ name, bytes: folderBytes(path) }));
      if (!dryRun) await applyRetention(realFiles, root, rule);
      const bytes = sizes.reduce((sum, each) => sum + each.bytes, 0);
      if (args.json === true) {
        const body = { schema_version: 1, directory, dry_run: dryRun, deleted: sizes, bytes };
        process.stdout.write(`${JSON.stringify(body)}\n`);
      } else {
        const verb = dryRun ? "would delete" : "deleted";
        for (const each of sizes)
          process.stdout.write(`${verb} ${each.name}, ${bytesText(each.bytes)}\n`);
        if (sizes.length === 0) process.stdout.write("nothing to delete\n");
      }
    } finally {
      unlock();
    }
    return 0;
  },
});
