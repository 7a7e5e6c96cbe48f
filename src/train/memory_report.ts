/** @file What a job's programs need together: state shared by name, one arena, two slots of host values a program. */
import type { Config } from "../config/config.ts";
import type { LanguageModel } from "../nn/language_model.ts";
import type { Plan } from "../passes/index.ts";
import { DeviceError } from "../util/errors.ts";
import { checkpointFields } from "./fields.ts";
import type { ProgramName, Programs } from "./job_programs.ts";
import type { Machine } from "./machine.ts";
import { imageBytes, savedStates } from "./saved_states.ts";

export interface StateMemory {
  readonly name: string;
  readonly bytes: number;
}

export interface MemoryReport {
  /** By what stands before the slash: param, grad, adam_m, adam_v, sum; and checkpoint copy. */
  readonly stateByKind: Readonly<Record<string, number>>;
  readonly stateBytes: number;
  readonly states: readonly StateMemory[];
  readonly arenaBytes: number;
  /** The program that needs the largest arena. */
  readonly arenaProgram: ProgramName;
  /** Both slots of all programs. */
  readonly hostBytes: number;
  readonly scratchBytes: number;
  /** On a GPU: the programs themselves and what the device took for itself. */
  readonly programBytes: number;
  /** Of the device. */
  readonly totalBytes: number;
  /** Beside a GPU: copies in the host's memory from which checkpoints are written. */
  readonly copyBytes: number;
  /** Temporaries of that program at its peak, by scope, largest first. */
  readonly scopes: Plan["scopes"];
}

export const SLOTS = 2;
const CHECKPOINT_COPY = "checkpoint copy";

/** Bytes of the copies from which checkpoints are written; none where a run saves only at its end. */
export const checkpointCopyBytes = (model: LanguageModel, config: Config): number =>
  config.get(checkpointFields.interval) === 0 ? 0 : imageBytes(savedStates(model));

/** `copyBytes`: of `checkpointCopyBytes`, where the programs are a run's. */
export function memoryReport(programs: Programs, machine: Machine, copyBytes = 0): MemoryReport {
  const { target } = machine;
  const states = new Map<string, number>();
  const stateByKind: Record<string, number> = {};
  let hostBytes = 0;
  let perThread = 0;
  let programBytes = machine.ownBytes;
  let largest: readonly [ProgramName, Plan] | undefined;
  for (const [name, { plan, program }] of programs) {
    programBytes += machine.programBytes(program);
    for (const state of plan.states) {
      if (states.has(state.name)) continue;
      states.set(state.name, state.bytes);
      const kind = state.name.split("/")[0] ?? "";
      stateByKind[kind] = (stateByKind[kind] ?? 0) + state.bytes;
    }
    hostBytes += SLOTS * (plan.inputBytes + plan.outputBytes);
    perThread = Math.max(perThread, plan.scratchBytesPerThread);
    if (largest === undefined || plan.arenaBytes > largest[1].arenaBytes) largest = [name, plan];
  }
  const onHost = target.kind === "cuda";
  if (copyBytes > 0 && !onHost) {
    states.set(CHECKPOINT_COPY, copyBytes);
    stateByKind[CHECKPOINT_COPY] = copyBytes;
  }
  const stateBytes = [...states.values()].reduce((a, b) => a + b, 0);
  const arenaBytes = largest?.[1].arenaBytes ?? 0;
  const scratchBytes = target.kind === "cpu" ? perThread * target.threads : 0;
  return {
    stateByKind,
    stateBytes,
    states: [...states].map(([name, bytes]) => ({ name, bytes })),
    arenaBytes,
    arenaProgram: largest?.[0] ?? "micro",
    hostBytes,
    scratchBytes,
    programBytes,
    totalBytes: stateBytes + arenaBytes + hostBytes + scratchBytes + programBytes,
    copyBytes: onHost ? copyBytes : 0,
    scopes: largest?.[1].scopes ?? [],
  };
}

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

/** Refuses a job that does not fit, before anything is allocated. */
export function expectFits(report: MemoryReport, machine: Machine): void {
  if (report.totalBytes > machine.freeBytes) throw doesNotFit(report, machine);
}

/** A GPU that would have room, were others not there; their own needs are a guess. */
export const isTaken = (report: MemoryReport, { gpu, freeBytes }: Machine): boolean =>
  gpu !== null && report.totalBytes > freeBytes && report.totalBytes < 0.9 * gpu.total_bytes;

/** Says what takes the room, and what to do. `after`: what was said where the plan was too hopeful. */
export function doesNotFit(report: MemoryReport, machine: Machine, after = ""): DeviceError {
  const { gpu, freeBytes } = machine;
  const temporaries = report.scopes.map(({ scope, bytes }) => ({
    name: `temporaries of ${scope === "" ? report.arenaProgram : scope}`,
    bytes,
  }));
  const largest = [...report.states, ...temporaries].sort((a, b) => b.bytes - a.bytes).slice(0, 8);
  const list = largest.map(({ name, bytes }) => `\n  ${mebibytes(bytes).padStart(12)}  ${name}`);
  const of = gpu === null ? "" : ` of ${mebibytes(gpu.total_bytes)}`;
  const where = gpu === null ? "" : ` on GPU ${gpu.ordinal} (${gpu.name})`;
  const smaller = "a smaller training.per_device_batch_size with training.accumulate needs less";
  const hint = isTaken(report, machine)
    ? "other processes hold the rest (nvidia-smi lists them): end them, or take another GPU with " +
      `training.device=cuda:N or CUDA_VISIBLE_DEVICES; ${smaller}`
    : smaller;
  return new DeviceError(
    `${after === "" ? "" : `${after}: `}the run needs ${mebibytes(report.totalBytes)} of memory${where}, ` +
      `${mebibytes(freeBytes)}${of} are free; ` +
      `temporaries take ${mebibytes(report.arenaBytes)}, the largest parts are${list.join("")}`,
    { hint },
  );
}
