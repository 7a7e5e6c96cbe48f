/** @file All passes in order: from a traced and differentiated graph to a program and its memory plan. */
import type { Graph } from "../ir/graph.ts";
import { graphText } from "../ir/text.ts";
import type { Program } from "../program/program.ts";
import { choose } from "./choose.ts";
import { dead } from "./dead.ts";
import { encode } from "./encode.ts";
import { fuseMap } from "./fuse_map.ts";
import { fuseMatmul } from "./fuse_matmul.ts";
import { type Plan, plan } from "./plan.ts";

export interface CpuTarget {
  readonly kind: "cpu";
  readonly level: "v3" | "v4" | "v4_bf16";
  readonly threads: number;
}

export interface CompileOptions {
  /** False: one kernel per node, nothing in place; for tests and for finding faults. */
  readonly fuse?: boolean;
  /** Keep the text of the graph after every pass. */
  readonly keepText?: boolean;
}

export interface Stage {
  readonly name: string;
  readonly text: string;
}

export interface Compiled {
  readonly program: Program;
  readonly plan: Plan;
  /** The graph that was planned. */
  readonly graph: Graph;
  readonly stages: readonly Stage[];
}

export function compile(graph: Graph, _target: CpuTarget, options: CompileOptions = {}): Compiled {
  const fuse = options.fuse ?? true;
  const stages: Stage[] = [];
  const note = (name: string, after: Graph): Graph => {
    if (options.keepText === true) stages.push({ name, text: graphText(after) });
    return after;
  };
  note("trace", graph);
  let current = note("dead", dead(graph));
  current = note("choose", choose(current));
  current = note("fuse_matmul", fuseMatmul(current));
  current = note("fuse_map", fuseMap(current, { fuse }));
  const planned = plan(current, { inPlace: fuse });
  return { program: encode(planned), plan: planned, graph: current, stages };
}
