/**
 * @file Several stages under one command: each is a run of its own, NAME, NAME-stage-2 ..., that begins with the weights of the one
 * before. The same command again goes on where it stopped, by the resume rule of every single run; a stage that began with other
 * weights than the one before it has now is moved aside and trains anew.
 */
import type { LoadedJob } from "../jobs/load_job.ts";
import { hasCheckpoints, type ModelFiles, modelFiles } from "../jobs/model_place.ts";
import type { Job } from "../train/job.ts";
import { type RunPlace, runPath } from "../train/run_directory.ts";
import { settledConfig } from "../train/settled_config.ts";
import { readEvents } from "../train/status_files.ts";
import { ConfigError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { shapeText } from "../util/shapes.ts";
import { type Shown, trainAndReport } from "./training.ts";

function shapesOf({ job, config }: LoadedJob<Job>): ReadonlyMap<string, string> {
  const parameters = job.model(config).parameters();
  return new Map(parameters.map(({ path, axes }) => [path, shapeText(axes.map((a) => a.size))]));
}

/** Whatever is wrong with a later stage is said before the first one trains. */
export function checkStages(stages: readonly LoadedJob<Job>[]): void {
  const [first, ...others] = stages;
  if (first === undefined) return;
  const wanted = shapesOf(first);
  for (const stage of others) {
    const shapes = shapesOf(stage);
    for (const name of new Set([...wanted.keys(), ...shapes.keys()])) {
      const [is, was] = [shapes.get(name) ?? "nothing", wanted.get(name) ?? "nothing"];
      if (is !== was)
        throw new ConfigError(`${name}: expected ${was} as in the first stage, got ${is}`, {
          place: { path: stage.source.name },
        });
    }
  }
}

export interface StageRequest {
  readonly stages: readonly LoadedJob<Job>[];
  readonly place: RunPlace;
  readonly fresh: boolean;
  readonly allowChange: boolean;
  /** Weights that the first stage begins with. */
  readonly initFrom?: string;
}

/** Whether the run has weights that did not come from these. */
async function isOutdated(directory: string, { weightsHash }: ModelFiles): Promise<boolean> {
  if (!(await hasCheckpoints(directory))) return false;
  const begun = readEvents(directory).findLast(({ event }) => event === "initialized");
  return begun?.weights !== weightsHash;
}

function placeOf({ place }: StageRequest, index: number): RunPlace {
  return index === 0 ? place : { ...place, name: `${place.name}-stage-${index + 1}` };
}

/** Ends with the exit code of the first stage that does not finish. */
export async function trainStages(request: StageRequest, shown: Shown): Promise<number> {
  const { fresh, allowChange } = request;
  const stages: LoadedJob<Job>[] = [];
  for (const [index, stage] of request.stages.entries()) {
    const config = await settledConfig(stage.job, stage.config, placeOf(request, index), fresh);
    stages.push({ ...stage, config });
  }
  checkStages(stages);
  let { initFrom } = request;
  let last: ModelFiles | null = null;
  for (const [index, { job, config, source }] of stages.entries()) {
    const place = placeOf(request, index);
    const directory = runPath(place);
    if (stages.length > 1) log.info(`stage ${index + 1} of ${stages.length}: ${source.name}`);
    const outdated = !fresh && last !== null && (await isOutdated(directory, last));
    if (outdated)
      log.warn(`${directory} did not begin with the weights of stage ${index}: it is moved aside`);
    const begin = initFrom === undefined ? {} : { initFrom };
    const parts = { job, config, place, sourceText: source.text, allowChange, ...begin };
    const code = await trainAndReport({ ...parts, fresh: fresh || outdated }, shown);
    if (code !== 0) return code;
    if (index + 1 < stages.length) {
      last = await modelFiles(directory, place.root);
      initFrom = last.weights;
    }
  }
  return 0;
}
