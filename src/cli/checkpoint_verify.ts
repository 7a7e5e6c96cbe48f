/** @file theseus checkpoint verify: every file against the manifest, byte for byte. */

import { checkpointsOf, findModel } from "../jobs/model_place.ts";
import { realFiles } from "../train/checkpoint/files.ts";
import { verifyCheckpoint } from "../train/checkpoint/restore.ts";
import { CheckpointError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { bytesText } from "../util/quantities.ts";
import { command } from "./command.ts";
import { EXIT_CODES } from "./exit_codes.ts";
import { rootArgs, rootOf } from "./place.ts";

export const checkpointVerify = command({
  name: "checkpoint verify",
  summary: "compare every file of a run's checkpoints with the manifest",
  examples: ["theseus checkpoint verify first", "theseus checkpoint verify first@step-000500"],
  args: {
    run: { type: "positional", required: true, description: "RUN, or RUN@best, RUN@step-000123" },
    ...rootArgs,
  },
  async run({ args }) {
    const place = await findModel(args.run, rootOf(undefined, args.root));
    const checkpoints: Record<string, unknown>[] = [];
    let damaged = 0;
    for (const { name, path } of await checkpointsOf(place)) {
      try {
        const { files } = await verifyCheckpoint(realFiles, path);
        const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
        checkpoints.push({ name, ok: true, files: files.length, bytes });
        if (args.json !== true)
          process.stdout.write(`${name}  ok, ${files.length} files, ${bytesText(bytes)}\n`);
      } catch (error) {
        if (!(error instanceof CheckpointError)) throw error;
        damaged++;
        const file = error.place.path ?? path;
        checkpoints.push({ name, ok: false, file, problem: error.message });
        if (args.json !== true) log.error(`${file}  ${error.message}`);
      }
    }
    if (args.json === true)
      process.stdout.write(`${JSON.stringify({ schema_version: 1, checkpoints })}\n`);
    return damaged === 0 ? 0 : EXIT_CODES.checkpoint;
  },
});
