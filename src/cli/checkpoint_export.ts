/** @file theseus checkpoint export: the weights of a checkpoint as a folder of their own. */
import { existsSync } from "node:fs";
import { copyWeights, EXPORTED } from "../train/checkpoint/copy_weights.ts";
import { realFiles } from "../train/checkpoint/files.ts";
import { verifyCheckpoint } from "../train/checkpoint/restore.ts";
import { CheckpointError, UserError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { command } from "./command.ts";
import { checkpointsOf, findModel } from "./model_place.ts";
import { rootArgs, rootOf } from "./place.ts";

export const checkpointExport = command({
  name: "checkpoint export",
  summary: "write the weights of a checkpoint as a folder",
  examples: [
    "theseus checkpoint export first weights",
    "theseus checkpoint export first@best weights --json",
  ],
  args: {
    run: { type: "positional", required: true, description: "RUN, or RUN@best, RUN@step-000123" },
    out: {
      type: "positional",
      required: true,
      description: `folder to make, with ${EXPORTED.join(" and ")}; tensors have this program's names`,
    },
    ...rootArgs,
  },
  async run({ args }) {
    const place = await findModel(args.run, rootOf(undefined, args.root));
    const chosen = (await checkpointsOf(place)).at(-1);
    if (chosen === undefined) return 1;
    const out = args.out.replace(/(.)\/+$/, "$1");
    if (existsSync(out)) throw new UserError(`${out} exists already`, { code: "conflict" });
    const manifest = await verifyCheckpoint(realFiles, chosen.path);
    for (const name of EXPORTED)
      if (!manifest.files.some((file) => file.name === name))
        throw new CheckpointError(`it holds no ${name}`, { place: { path: chosen.path } });
    copyWeights(chosen.path, out);
    const { step, tokens } = manifest;
    if (args.json === true)
      process.stdout.write(`${JSON.stringify({ schema_version: 1, out, step, tokens })}\n`);
    else log.info(`wrote ${out}: ${EXPORTED.join(", ")} of ${chosen.name}`);
    return 0;
  },
});
