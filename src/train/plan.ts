/** @file What a run will need, computed without running it: parameters, arithmetic, exact memory. */
import type { Config } from "../config/config.ts";
import type { CpuTarget } from "../passes/index.ts";
import { trainingFields } from "./fields.ts";
import type { Job } from "./job.ts";
import { compileTraining, type Programs, resolvePrecision } from "./job_programs.ts";
import { type MemoryReport, memoryReport } from "./memory_report.ts";

export interface ParameterReport {
  readonly path: string;
  readonly axes: readonly { readonly name: string; readonly size: number }[];
  readonly count: number;
}

export interface RunPlan {
  readonly job: string;
  readonly precision: string;
  readonly target: CpuTarget;
  readonly parameters: number;
  readonly parameterList: readonly ParameterReport[];
  readonly flopsPerToken: number;
  readonly tokensPerStep: number;
  readonly steps: number;
  readonly memory: MemoryReport;
  readonly programs: readonly {
    readonly name: string;
    readonly instructions: number;
    readonly arenaBytes: number;
  }[];
}

export function planRun(job: Job, config: Config, target: CpuTarget): RunPlan {
  const model = job.model(config);
  const programs: Programs = compileTraining(model, config, target);
  const { rows, accumulate, steps } = config.values(trainingFields);
  const list = model.parameters().map(({ path, axes, count }) => ({ path, axes, count }));
  return {
    job: job.name,
    precision: resolvePrecision(config, target),
    target,
    parameters: list.reduce((n, p) => n + p.count, 0),
    parameterList: list,
    flopsPerToken: model.flopsPerToken(),
    tokensPerStep: rows * accumulate * model.blockSize,
    steps,
    memory: memoryReport(programs, target),
    programs: [...programs].map(([name, { program, plan }]) => ({
      name,
      instructions: program.instructions.length,
      arenaBytes: plan.arenaBytes,
    })),
  };
}
