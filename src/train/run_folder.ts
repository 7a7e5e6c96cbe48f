/** @file An open run directory: locked, described, and with the configuration that this attempt runs with. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../config/config.ts";
import { readConfigTexts } from "../config/reread.ts";
import { writeYaml } from "../config/write.ts";
import type { DataRecord } from "../data/dataset.ts";
import type { LanguageModel } from "../nn/language_model.ts";
import type { Device } from "../runtime/index.ts";
import { writeAtomically } from "../util/atomic_file.ts";
import { UserError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import { VERSION } from "../util/version.ts";
import { batchOf } from "./batch_size.ts";
import type { RunState } from "./checkpointer.ts";
import { checkData, writeData } from "./data_record.ts";
import { trainingFields } from "./fields.ts";
import { machineOf } from "./machine.ts";
import { lastMetrics } from "./metrics_reader.ts";
import { type Prepared, prepare } from "./plan.ts";
import { resolvePrecision } from "./precision.ts";
import { checkResume, type Difference } from "./resume_rule.ts";
import type { TrainingRequest } from "./run.ts";
import { environment, openRunDirectory } from "./run_directory.ts";
import { lockRun } from "./run_lock.ts";
import { readJson, StatusFiles } from "./status_files.ts";
import { targetOf } from "./target.ts";

interface RunDescription {
  readonly job: string;
  readonly run_id: string;
  readonly version: string;
}

export interface RunFolder {
  readonly directory: string;
  readonly config: Config;
  readonly prepared: Prepared;
  readonly resolvedText: string;
  readonly runId: string;
  readonly attempt: number;
  readonly status: StatusFiles;
  /** Notes the start of this attempt. */
  begin(from: RunState | null): void;
  failed(error: unknown): void;
  close(): void;
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

function withPrecision(config: Config, before: Config | null, device: Device): Config {
  const asked = config.get(trainingFields.precision);
  // "auto" was settled when the run began; another machine must not settle it anew.
  const precision =
    asked === "auto" && before !== null
      ? before.get(trainingFields.precision)
      : resolvePrecision(config, targetOf(device));
  return config.with(new Map([[trainingFields.precision, precision]]));
}

/** The size that `auto` was settled to when the run began stays. */
function keepBatch(config: Config, before: Config | null): Config {
  if (before === null || config.get(trainingFields.rows) !== "auto") return config;
  const { rows } = batchOf(before);
  return config.with(new Map([[trainingFields.rows, rows]]));
}

function noteOtherDevice(directory: string, device: Device): void {
  const before = readJson<{ device?: { level?: string } }>(join(directory, "env.json"));
  const level = before?.device?.level;
  if (level !== undefined && level !== device.info.level)
    log.warn(
      `this run began on ${level} kernels, this machine has ${device.info.level}: bits may differ`,
    );
}

/** Throws `conflict` when another trainer is at work there or the configuration may not differ so. */
export function openRun(
  request: TrainingRequest,
  model: LanguageModel,
  device: Device,
  data: DataRecord,
): RunFolder {
  const { job, place } = request;
  const { path: directory, existed } = openRunDirectory(place, request.fresh ?? false);
  const unlock = lockRun(directory);
  try {
    const before = existed ? readConfigTexts(directory, job.schema) : null;
    const asked = keepBatch(withPrecision(request.config, before, device), before);
    const prepared = prepare(model, asked, machineOf(device));
    const { config } = prepared;
    const changes: Difference[] =
      before === null ? [] : checkResume(before, config, request.allowChange ?? false);
    if (existed) checkData(directory, data, request.allowChange ?? false);
    if (existed) noteOtherDevice(directory, device);
    const known = readJson<RunDescription>(join(directory, "run.json"));
    const description = { job: job.name, run_id: known?.run_id ?? crypto.randomUUID() };
    const header = `${job.name}: every setting of the run ${place.name}`;
    const resolvedText = writeYaml(job.schema, config, header);
    const write = (name: string, text: string) => writeAtomically(join(directory, name), text);
    if (request.sourceText !== undefined) write("config.yaml", request.sourceText);
    write("config.resolved.yaml", resolvedText);
    write("env.json", json(environment(device.info)));
    writeData(directory, data);
    write("run.json", json({ ...description, version: VERSION, ...place }));
    const status = new StatusFiles(directory);
    const attempt = (lastMetrics(join(directory, "metrics.jsonl"))?.attempt ?? 0) + 1;
    return {
      ...{ directory, config, prepared, resolvedText, runId: description.run_id, attempt, status },
      begin(from) {
        const changed = changes.map(({ path, before: was, now }) => ({ path, before: was, now }));
        // How an earlier attempt ended is no longer how the run stands.
        rmSync(join(directory, "exit.json"), { force: true });
        status.event({ event: "started", attempt, step: from?.step ?? 0, changed });
        status.beat(from?.step ?? 0);
      },
      failed(error) {
        const reason = error instanceof Error ? error.message : String(error);
        const code = error instanceof UserError ? error.code : "bug";
        const step = lastMetrics(join(directory, "metrics.jsonl"))?.step ?? 0;
        status.event({ event: "failed", code, reason });
        status.exit({ state: "failed", step, reason, attempt });
      },
      close: unlock,
    };
  } catch (error) {
    unlock();
    throw error;
  }
}
