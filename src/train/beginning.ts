/**
 * @file What a run begins with: its job settles what others' files decide, and the weights come from where the user or the job says. A
 * run with adapters needs the model that they belong to each time, and it must be the one that it began with.
 */
import type { LanguageModel } from "../nn/language_model.ts";
import { UserError } from "../util/errors.ts";
import { realFiles } from "./checkpoint/files.ts";
import { listCheckpoints } from "./checkpoint/restore.ts";
import { checkpointRoot, type RunState } from "./checkpointer.ts";
import type { Engine } from "./engine.ts";
import type { TrainingRequest } from "./run.ts";
import { runPath } from "./run_directory.ts";
import type { RunFolder } from "./run_folder.ts";
import { settledConfig } from "./settled_config.ts";
import { readEvents } from "./status_files.ts";
import { hashWeights, isAdapted, loadWeights } from "./weights.ts";

/** The request with the job's own settlement, and the weights that are needed. */
export async function settledRequest(request: TrainingRequest): Promise<TrainingRequest> {
  const { job, place, initFrom } = request;
  const config = await settledConfig(job, request.config, place, request.fresh ?? false);
  if (job.beginning === undefined || initFrom !== undefined) return { ...request, config };
  // `latest` may be missing yet: a kill can come before it.
  const saved = await listCheckpoints(realFiles, checkpointRoot(runPath(place)));
  const goesOn = request.fresh !== true && saved.length > 0;
  if (goesOn && !isAdapted(job.model(config))) return { ...request, config };
  return { ...request, config, initFrom: await job.beginning(config, place.root) };
}

/** `from`: where the run goes on, its own weights being loaded already; null: it is new. */
export async function beginWeights(
  engine: Engine,
  model: LanguageModel,
  run: RunFolder,
  initFrom: string | undefined,
  from: RunState | null,
): Promise<void> {
  if (initFrom === undefined || (from !== null && !isAdapted(model))) return;
  loadWeights(engine, model, initFrom);
  const weights = await hashWeights(initFrom);
  if (from === null) {
    run.status.event({ event: "initialized", from: initFrom, weights });
    return;
  }
  const begun = readEvents(run.directory).findLast(({ event }) => event === "initialized");
  if (begun !== undefined && begun.weights !== weights)
    throw new UserError(
      `the adapters of this run belong to other weights than those of ${initFrom}: ` +
        `it began with ${begun.weights}, these are ${weights}`,
      { code: "conflict", hint: "put the model back as it was, or begin a new run" },
    );
}
