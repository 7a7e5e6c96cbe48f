/** @file theseus checkpoint save: asks a live run for a checkpoint now, and waits until it is on disk. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { stepFolder } from "../train/checkpoint/commit.ts";
import { makeRequest, pendingRequest, withdrawRequest } from "../train/checkpoint/request.ts";
import { lockState } from "../train/run_lock.ts";
import { CheckpointError, UserError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { command, UsageError } from "./command.ts";
import { findRun, rootArgs, rootOf } from "./place.ts";

const POLL_MS = 50;

interface Answer {
  readonly event: "saved" | "save_failed";
  readonly step: number;
  readonly message?: string;
}

function answerTo(directory: string, mark: string): Answer | undefined {
  const path = join(directory, "events.jsonl");
  if (!existsSync(path)) return undefined;
  // A line that is still being written has no end yet.
  const lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
  const line = lines.findLast((each) => each.includes(mark));
  return line === undefined ? undefined : (JSON.parse(line) as Answer);
}

async function waitFor(directory: string, mark: string, seconds: number): Promise<Answer> {
  const end = performance.now() + seconds * 1e3;
  for (;;) {
    const alive = lockState(directory) === "held";
    const answer = answerTo(directory, mark);
    if (answer !== undefined) return answer;
    if (!alive)
      throw new UserError("the run ended before it came to this request", { code: "conflict" });
    if (performance.now() > end)
      throw new UserError(`no checkpoint was made within ${seconds} seconds`, {
        hint: "--wait SECONDS gives it more time; a step may take long",
      });
    await Bun.sleep(POLL_MS);
  }
}

export const checkpointSave = command({
  name: "checkpoint save",
  summary: "ask a running run for a checkpoint at its next step",
  examples: ["theseus checkpoint save first", "theseus checkpoint save first --wait 60"],
  args: {
    run: { type: "positional", required: true, description: "run directory, or its name" },
    ...rootArgs,
    wait: { type: "string", default: "600", description: "seconds to wait for it" },
  },
  async run({ args }) {
    const seconds = Number(args.wait);
    if (!(seconds > 0)) throw new UsageError(`--wait expected seconds above 0, got "${args.wait}"`);
    const directory = findRun(args.run, rootOf(undefined, args.root));
    if (lockState(directory) !== "held")
      throw new UserError(`no trainer is at work in ${directory}`, {
        code: "conflict",
        hint: "a run that has ended saved its last step already: theseus checkpoint list",
      });
    const mark = makeRequest(directory);
    try {
      const { event, step, message } = await waitFor(directory, mark, seconds);
      if (event === "save_failed") throw new CheckpointError(message ?? "the save failed");
      const name = stepFolder(step);
      if (args.json === true)
        process.stdout.write(`${JSON.stringify({ schema_version: 1, directory, name, step })}\n`);
      else log.info(`saved ${join(directory, "checkpoints", name)}`);
    } finally {
      if (pendingRequest(directory) === mark) withdrawRequest(directory);
    }
    return 0;
  },
});
