/** @file In which precision a program computes: what the configuration asks for, on the device that there is. */
import type { Config } from "../config/config.ts";
import type { Graph } from "../ir/graph.ts";
import type { Precision } from "../nn/trace.ts";
import { type Compiled, compile, type Target } from "../passes/index.ts";
import { ConfigError } from "../util/errors.ts";
import { trainingFields } from "./fields.ts";

/** GPUs that this library runs on all have tensor cores for bf16; of CPUs few are fast at it. */
const isFastInBf16 = ({ kind, level }: Target): boolean => kind === "cuda" || level === "v4_bf16";

/** Of a training. */
export function resolvePrecision(config: Config, target: Target): Precision {
  const wanted = config.get(trainingFields.precision);
  if (wanted === "auto") return isFastInBf16(target) ? "mixed" : "f32";
  if (wanted !== "bf16" || target.kind === "cuda") return wanted;
  throw new ConfigError("training.precision: bf16 needs a GPU, and this run is on the CPU", {
    place: { key: "training.precision" },
    hint: "mixed has bf16 products on a CPU as well; training.device says where a run is",
  });
}

/** Of a trained model that is used: on a CPU as close to its training as a CPU comes. */
export function precisionOfUse(config: Config, target: Target): Precision {
  const trained = config.get(trainingFields.precision);
  return trained === "bf16" && target.kind === "cpu" ? "mixed" : resolvePrecision(config, target);
}

/** A program whose graph was traced in `precision`. */
export function compileIn(precision: Precision, graph: Graph, target: Target): Compiled {
  return compile(graph, target, {
    narrowing: precision === "bf16" ? "activations" : "operands",
  });
}
