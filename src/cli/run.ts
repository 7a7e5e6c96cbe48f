/** @file theseus run: runs a job from its configuration, a training above all. What that takes is loaded when it is known. */
import { existsSync } from "node:fs";
import type { LoadedJob } from "../jobs/load_job.ts";
import { type RunPlace, runPath } from "../train/run_directory.ts";
import { UserError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { command, UsageError } from "./command.ts";
import { rootArgs, rootOf } from "./place.ts";
import { loadArgs, loadUserCode } from "./user_code.ts";

/** A safetensors file itself, or what MODEL names. */
async function weightsOf(model: string, root: string): Promise<string> {
  if (model.endsWith(".safetensors")) {
    if (!existsSync(model)) throw new UserError(`there is no file ${model}`, { code: "not_found" });
    return model;
  }
  const { modelFiles } = await import("../jobs/model_place.ts");
  const { weights, runDirectory } = await modelFiles(model, root);
  if (weights === undefined)
    throw new UserError(`${runDirectory} has no checkpoint yet`, { code: "not_found" });
  return weights;
}

/** What a new run begins with. One that goes on has its own weights: those of its start may be gone since. */
async function beginning(
  model: string | undefined,
  place: RunPlace,
  fresh: boolean,
): Promise<{ readonly initFrom?: string }> {
  if (model === undefined) return {};
  const { hasCheckpoints } = await import("../jobs/model_place.ts");
  const directory = runPath(place);
  if (fresh || !(await hasCheckpoints(directory)))
    return { initFrom: await weightsOf(model, place.root) };
  log.info(`${directory} goes on with its own weights; --init-from is for a new run`);
  return {};
}

/** So that the run itself needs no network. */
async function fetchOnly(
  jobs: readonly LoadedJob[],
  initFrom: string | undefined,
  json: boolean,
): Promise<number> {
  const { fetchNamed } = await import("../jobs/fetch_named.ts");
  const fetched = await fetchNamed(jobs, initFrom);
  if (json)
    process.stdout.write(`${JSON.stringify({ schema_version: 1, event: "fetched", fetched })}\n`);
  else
    log.info(
      fetched.length === 0 ? "nothing of the hub is named" : `in the cache: ${fetched.join(", ")}`,
    );
  return 0;
}

export default command({
  name: "run",
  summary: "run a job from its configuration: train, tokenize ...",
  examples: [
    "theseus run first gpt/tiny-sotu",
    "theseus run mine my.yaml --load my_model.ts",
    "theseus run second my.yaml out training.steps=500 architecture.n_layer=6",
    "theseus run tuned pretrain.yaml -s finetune.yaml training.seed=2 2:training.steps=500",
    "theseus run tuned finetune.yaml --init-from first@best",
    "theseus run stories data/tokenize.yaml",
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
    "init-from": {
      type: "string",
      valueHint: "model",
      description: "a new run begins with these weights: RUN, RUN@best, an exported folder, a file",
    },
    "fetch-only": {
      type: "boolean",
      description: "fetch what the configuration names of the Hugging Face hub, and end",
    },
    "allow-change": {
      type: "boolean",
      description: "go on although settings differ that change the course of the run",
    },
  },
  repeated: {
    ...loadArgs,
    stage: {
      alias: "s",
      valueHint: "stage.yaml",
      description:
        "a further stage: another configuration that begins with the weights of the last",
    },
  },
  async run({ args, overrides, repeated }) {
    await loadUserCode(repeated.load);
    const { asTask, asTraining, configSource } = await import("../jobs/load_job.ts");
    const { loadStages } = await import("../jobs/load_stages.ts");
    const loaded = loadStages([args.config, ...repeated.stage].map(configSource), overrides);
    if (args["fetch-only"] === true)
      return fetchOnly(loaded, args["init-from"], args.json === true);
    const [first, ...others] = loaded;
    const { name, project, group } = args;
    const root = rootOf(args.dir, args.root);
    const place = { root, project, group, name };
    const fresh = args.fresh === true;
    const task = first === undefined ? undefined : asTask(first);
    if (task !== undefined) {
      if (args["init-from"] !== undefined || others.length > 0)
        throw new UsageError(`${task.job.name} is no training: it takes no --init-from or --stage`);
      const { runTaskAndReport } = await import("./task.ts");
      return runTaskAndReport({ loaded: task, place, fresh }, args);
    }
    const stages = loaded.map(asTraining);
    const begin = await beginning(args["init-from"], place, fresh);
    const request = { stages, place, fresh, allowChange: args["allow-change"] === true };
    const { trainStages } = await import("./stages.ts");
    return trainStages({ ...request, ...begin }, args);
  },
});
