/** @file The passes as others see them. */
export {
  type Compiled,
  type CompileOptions,
  type CpuTarget,
  compile,
  type Dump,
  fuseGraph,
} from "./compile.ts";
export type { Plan } from "./plan.ts";
