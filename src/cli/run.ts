/** @file theseus run: trains from a configuration. */
import { configSource, loadJob } from "../jobs/load_job.ts";
import { runTraining } from "../train/run.ts";
import { log } from "../util/log.ts";
import { command } from "./command.ts";
import { durationText } from "./format.ts";
import { EXIT_INTERRUPTED, interruption } from "./interrupt.ts";
import { rootArgs, rootOf } from "./place.ts";
import { ProgressLine } from "./progress_line.ts";
import { keepUserCode, loadArgs, loadUserCode } from "./user_code.ts";

export default command({
  name: "run",
  summary: "train from a configuration",
  examples: [
    "theseus run first gpt/tiny-sotu",
    "theseus run mine my.yaml --load my_model.ts",
    "theseus run second my.yaml out training.steps=500 architecture.n_layer=6",
  ],
  overrides: true,
  args: {
    name: { type: "positional", required: true, description: "name of the run" },
    config: { type: "positional", required: true, description: "a YAML file or a preset's name" },
    dir: { type: "positional", required: false, description: "ROOT, where runs are kept" },
    ...rootArgs,
    project: { type: "string", alias: "p", default: "general", description: "project" },
    group: { type: "string", alias: "g", default: "default", description: "group" },
    fresh: { type: "boolean", description: "move an older run of this name aside" },
    "allow-change": {
      type: "boolean",
      description: "go on although settings differ that change the course of the run",
    },
  },
  repeated: loadArgs,
  async run({ args, overrides, repeated }) {
    await loadUserCode(repeated.load);
    const { job, config, source } = loadJob(configSource(args.config), overrides);
    const { name, project, group } = args;
    const line = new ProgressLine();
    const stop = interruption("stopping after this step; press Ctrl-C again to quit now");
    try {
      const finished = await runTraining({
        job,
        config,
        place: { root: rootOf(args.dir, args.root), project, group, name },
        sourceText: source.text,
        fresh: args.fresh === true,
        allowChange: args["allow-change"] === true,
        signal: stop.signal,
        onProgress(event) {
          if (event.kind === "started") keepUserCode(event.directory);
          if (args.quiet !== true) line.show(event);
          if (args.json === true && event.kind === "step")
            process.stdout.write(`${JSON.stringify({ schema_version: 1, ...event.metrics })}\n`);
        },
      });
      const { reason, step, loss, valLoss, valBitsPerByte, directory, elapsedSeconds } = finished;
      if (args.json === true) {
        const done = { schema_version: 1, event: "done", reason, step, loss, val_loss: valLoss };
        const more = { val_bits_per_byte: valBitsPerByte, directory, elapsed_s: elapsedSeconds };
        process.stdout.write(`${JSON.stringify({ ...done, ...more })}\n`);
      }
      const result = valBitsPerByte === null ? "" : `, ${valBitsPerByte.toFixed(3)} bits per byte`;
      const time = durationText(elapsedSeconds);
      log.info(`${reason} after ${step} steps in ${time}: loss ${loss.toFixed(4)}${result}`);
      return reason === "interrupted" ? EXIT_INTERRUPTED : 0;
    } finally {
      line.end();
      stop.release();
    }
  },
});
