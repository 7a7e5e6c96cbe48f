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

/**
 * By part of the name that the driver gives, or of a chip's name in a request; the more special first: TFLOP/s in bf16 (before
 * Ampere in f16) with f32 sums, and in f32.
 */
const GPUS: readonly (readonly [name: RegExp, bf16: number, f32: number])[] = [
  [/H100 PCIe/i, 756, 51],
  [/H100 NVL/i, 835, 60],
  [/H100|H200|GH200/i, 989.4, 67],
  [/B200|GB200/i, 2250, 80],
  [/A100|A800/i, 312, 19.5],
  [/V100/i, 125, 15.7],
  [/\bT4\b/i, 65, 8.1],
  [/\bA40\b/i, 149.7, 37.4],
  [/\bA10\b/i, 125, 31.2],
  [/A6000/i, 154.8, 38.7],
  [/L40S/i, 362, 91.6],
  [/\bL40\b/i, 181, 90.5],
  [/\bL4\b/i, 121, 30.3],
  [/RTX ?5090/i, 209.5, 104.8],
  [/RTX ?4090/i, 165.2, 82.6],
  [/RTX ?3090/i, 71, 35.6],
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
