/** @file What a run will need, computed without running it: parameters, arithmetic, exact memory. */
import type { Config } from "../config/config.ts";
import { requestFields } from "../config/request_fields.ts";
import { documentMaskOf } from "../data/dataset.ts";
import { dataFields } from "../data/fields.ts";
import type { LanguageModel } from "../nn/language_model.ts";
import type { Target } from "../passes/index.ts";
import { batchOf, settleBatch } from "./batch_size.ts";
import { trainingFields } from "./fields.ts";
import type { Job } from "./job.ts";
import { compileTraining, type Programs } from "./job_programs.ts";
import type { Machine } from "./machine.ts";
import { checkpointCopyBytes, type MemoryReport, memoryReport } from "./memory_report.ts";
import { resolvePrecision } from "./precision.ts";
import { type TimeEstimate, timeEstimate } from "./time_estimate.ts";

export interface ParameterReport {
  readonly path: string;
  readonly axes: readonly { readonly name: string; readonly size: number }[];
  readonly count: number;
}

export interface RunPlan {
  readonly job: string;
  readonly precision: string;
  readonly target: Target;
  readonly parameters: number;
  readonly parameterList: readonly ParameterReport[];
  readonly flopsPerToken: number;
  /** Samples of a micro-batch, and micro-batches of a step. */
  readonly rows: number;
  readonly accumulate: number;
  readonly tokensPerStep: number;
  readonly steps: number;
  /** On the chip that `request` names, where its peak is known. */
  readonly time: TimeEstimate | null;
  readonly memory: MemoryReport;
  readonly programs: readonly {
    readonly name: string;
    readonly instructions: number;
    readonly arenaBytes: number;
  }[];
}

/** What a run of this configuration is made of. */
export interface Prepared {
  readonly config: Config;
  readonly programs: Programs;
  readonly memory: MemoryReport;
}

/** Settles the batch size to what fits, compiles, and adds up the memory. */
export function prepare(model: LanguageModel, asked: Config, machine: Machine): Prepared {
  const build = (config: Config): Prepared => {
    const programs: Programs = compileTraining(model, config, machine.target);
    const memory = memoryReport(programs, machine, checkpointCopyBytes(model, config));
    return { config, programs, memory };
  };
  let last: Prepared | undefined;
  const config = settleBatch(asked, machine.freeBytes, (sized) => {
    last = build(sized);
    return last.memory.totalBytes;
  });
  return last ?? build(config);
}

/** `data.document_mask` decides over inputs of the programs, and so over memory. */
function settleDocuments(config: Config): Config {
  const mask = documentMaskOf(config.values(dataFields));
  return config.with(new Map([[dataFields.documentMask, mask]]));
}

/** What `machine` has free is what `per_device_batch_size: auto` may use. */
export function planRun(job: Job, asked: Config, machine: Machine): RunPlan {
  const { target } = machine;
  const model = job.model(asked);
  const settled = settleDocuments(asked);
  const { config, programs, memory } = prepare(model, settled, machine);
  const { steps } = config.values(trainingFields);
  const { rows, accumulate } = batchOf(config);
  const { chip, chips } = config.values(requestFields);
  const flops = steps * rows * accumulate * model.blockSize * model.flopsPerToken();
  const list = model.parameters().map(({ path, axes, count }) => ({ path, axes, count }));
  return {
    job: job.name,
    precision: resolvePrecision(config, target),
    target,
    parameters: list.reduce((n, p) => n + p.count, 0),
    parameterList: list,
    flopsPerToken: model.flopsPerToken(),
    rows,
    accumulate,
    tokensPerStep: rows * accumulate * model.blockSize,
    steps,
    time: timeEstimate(config, flops, chip, chips),
    memory,
    programs: [...programs].map(([name, { program, plan }]) => ({
      name,
      instructions: program.instructions.length,
      arenaBytes: plan.arenaBytes,
    })),
  };
}
