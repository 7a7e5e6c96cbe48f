/** @file The arithmetic peak of the CPU, estimated from its clock and vector width; MFU is measured against it. */
import { readFileSync } from "node:fs";
import { cpus } from "node:os";

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

/** Two fused multiply-adds a cycle and core over the level's vectors; null where the clock is unknown. */
export function peakFlops(level: string, threads: number, facts = cpuFacts()): number | null {
  if (facts.megahertz === 0) return null;
  const lanes = level.startsWith("v4") ? 16 : 8;
  return Math.min(threads, facts.cores) * facts.megahertz * 1e6 * lanes * 2 * 2;
}
