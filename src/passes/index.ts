/** @file The passes as others see them. */
export {
  type Compiled,
  type CompileOptions,
  type CpuTarget,
  type CudaTarget,
  compile,
  type Dump,
  fuseGraph,
  type Target,
} from "./compile.ts";
export type { Plan } from "./plan.ts";
