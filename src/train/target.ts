/** @file What to compile for: the device that is open. */
import type { CpuTarget } from "../passes/index.ts";
import type { Device } from "../runtime/index.ts";

export const targetOf = ({ info }: Device): CpuTarget => ({
  kind: "cpu",
  level: info.level,
  threads: info.threads,
});
