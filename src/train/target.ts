/** @file What to compile for: the device that is open. */
import type { Target } from "../passes/index.ts";
import type { Device, Level } from "../runtime/index.ts";

export function targetOf({ info }: Device): Target {
  const { level, threads } = info;
  if (level.startsWith("sm_")) return { kind: "cuda", level: level as `sm_${number}`, threads: 1 };
  return { kind: "cpu", level: level as Level, threads };
}
