/** @file What a run is planned for: what to compile for, what is free there, and what programs take besides their buffers. */
import type { Target } from "../passes/index.ts";
import type { Program } from "../program/program.ts";
import { serialize } from "../program/serialize.ts";
import type { Device, GpuInfo } from "../runtime/index.ts";
import { targetOf } from "./target.ts";

export interface Machine {
  readonly target: Target;
  readonly freeBytes: number;
  /** Null: a CPU. */
  readonly gpu: Pick<GpuInfo, "ordinal" | "name" | "total_bytes"> | null;
  /** Memory of a GPU that it took when it was opened. */
  readonly ownBytes: number;
  /** Memory of a GPU for the program itself: what its kernels are told. */
  readonly programBytes: (program: Program) => number;
}

export function machineOf(device: Device): Machine {
  const { gpu, memory_bytes } = device.info;
  return {
    target: targetOf(device),
    freeBytes: memory_bytes,
    gpu,
    ownBytes: gpu?.own_bytes ?? 0,
    programBytes: (program) => (gpu === null ? 0 : device.measure(serialize(program))),
  };
}

/** A CPU that is not here, or one whose free memory does not matter. */
export const cpuMachine = (target: Target, freeBytes = Number.POSITIVE_INFINITY): Machine => ({
  ...{ target, freeBytes, gpu: null, ownBytes: 0, programBytes: () => 0 },
});
