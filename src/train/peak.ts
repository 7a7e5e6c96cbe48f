/**
 * @file The arithmetic peak that MFU is measured against: of a CPU estimated from its clock and vector width, of a GPU as its
 * maker states it, without sparsity.
 */
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import type { Target } from "../passes/index.ts";

export interface CpuFacts {
  readonly cores: number;
  readonly megahertz: number;
}

/** Physical cores and the present clock. */
export function cpuFacts(text = readCpuinfo()): CpuFacts {
  const cores = new Set<string>();
  let megahertz = 0;
  let socket = "0";
  for (const line of text.split("\n")) {
    const [key = "", value = ""] = line.split(":").map((part) => part.trim());
    if (key === "physical id") socket = value;
    if (key === "core id") cores.add(`${socket}/${value}`);
    if (key === "cpu MHz") megahertz = Math.max(megahertz, Number(value));
  }
  const known = cpus();
  return {
    cores: cores.size === 0 ? known.length : cores.size,
    megahertz: megahertz > 0 ? megahertz : (known[0]?.speed ?? 0),
  };
}

function readCpuinfo(): string {
  try {
    return readFileSync("/proc/cpuinfo", "utf8");
  } catch {
    return "";
  }
}

/** By part of the name, the more special first: TFLOP/s in bf16 with f32 sums, and in f32. */
const GPUS: readonly (readonly [name: RegExp, bf16: number, f32: number])[] = [
  [/H100 PCIe/, 756, 51],
  [/H100 NVL/, 835, 60],
  [/H100|H200|GH200/, 989.4, 67],
  [/B200|GB200/, 2250, 80],
  [/A100|A800/, 312, 19.5],
  [/A40\b/, 149.7, 37.4],
  [/A10\b/, 125, 31.2],
  [/A6000/, 154.8, 38.7],
  [/L40S/, 362, 91.6],
  [/L40\b/, 181, 90.5],
  [/L4\b/, 121, 30.3],
  [/RTX 5090/, 209.5, 104.8],
  [/RTX 4090/, 165.2, 82.6],
  [/RTX 3090/, 71, 35.6],
];

/** Null for GPUs that the table does not know. */
export function gpuPeakFlops(name: string, inBf16: boolean): number | null {
  const found = GPUS.find(([pattern]) => pattern.test(name));
  return found === undefined ? null : found[inBf16 ? 1 : 2] * 1e12;
}

/** Of the device that a run is on. */
export function peakOf(target: Target, gpu: string | null, inBf16: boolean): number | null {
  if (target.kind === "cpu") return peakFlops(target.level, target.threads);
  return gpu === null ? null : gpuPeakFlops(gpu, inBf16);
}

/** Two fused multiply-adds a cycle and core over the level's vectors; null where the clock is unknown. */
export function peakFlops(level: string, threads: number, facts = cpuFacts()): number | null {
  if (facts.megahertz === 0) return null;
  const lanes = level.startsWith("v4") ? 16 : 8;
  return Math.min(threads, facts.cores) * facts.megahertz * 1e6 * lanes * 2 * 2;
}
