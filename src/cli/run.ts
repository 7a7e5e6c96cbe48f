/** @file theseus run: trains from a configuration. */
import { configSource, loadJob } from "../jobs/load_job.ts";
import { command } from "./command.ts";
import { rootArgs, rootOf } from "./place.ts";
import { trainAndReport } from "./training.ts";
import { loadArgs, loadUserCode } from "./user_code.ts";

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
    const request = {
      job,
      config,
      place: { root: rootOf(args.dir, args.root), project, group, name },
      sourceText: source.text,
      fresh: args.fresh === true,
      allowChange: args["allow-change"] === true,
    };
    return trainAndReport(request, args);
  },
});
