/** @file All passes in order: from a traced and differentiated graph to a program and its memory plan. */
import type { Graph } from "../ir/graph.ts";
import { graphText } from "../ir/text.ts";
import type { Program } from "../program/program.ts";
import { choose } from "./choose.ts";
import { columnSums } from "./column_sums.ts";
import { dead } from "./dead.ts";
import { encode } from "./encode.ts";
import { fuseMap } from "./fuse_map.ts";
import { fuseMatmul } from "./fuse_matmul.ts";
import { type Narrowing, narrow } from "./narrow.ts";
import { type Plan, plan } from "./plan.ts";
import { simplify } from "./simplify.ts";
import { chooseStorage } from "./storage_dtype.ts";
import { foldSums } from "./sums.ts";
import { type Stage, verify } from "./verify.ts";

export interface CpuTarget {
  readonly kind: "cpu";
  readonly level: "v3" | "v4" | "v4_bf16";
  readonly threads: number;
}

/** A GPU runs the instructions of the CPU target; zig/cuda/launches.zig says as which kernels. */
export interface CudaTarget {
  readonly kind: "cuda";
  readonly level: `sm_${number}`;
  /** Of the host: one hands out the GPU's work. */
  readonly threads: 1;
}

export type Target = CpuTarget | CudaTarget;

export interface CompileOptions {
  /** False: one kernel per node, nothing in place; for tests and for finding faults. */
  readonly fuse?: boolean;
  /** Check the graph after every pass; default: when DEBUG_IR=1. */
  readonly verify?: boolean;
  /** Keep the text of the graph after every pass. */
  readonly keepText?: boolean;
  /** On a GPU: what is stored as bf16; default: what products in bf16 read. */
  readonly narrowing?: Narrowing;
}

/** The graph as a pass left it. */
export interface Dump {
  readonly pass: string;
  readonly text: string;
}

export interface Compiled {
  readonly program: Program;
  readonly plan: Plan;
  /** The graph that was planned. */
  readonly graph: Graph;
  readonly dumps: readonly Dump[];
}

interface Pass {
  readonly name: string;
  readonly run: (graph: Graph) => Graph;
  /** What the graph is after it. */
  readonly stage: Stage;
}

const passes = (
  kind: Target["kind"],
  { fuse = true, narrowing = "operands" }: CompileOptions,
): readonly Pass[] => [
  { name: "choose", run: (graph) => choose(graph, kind), stage: "chosen" },
  { name: "simplify", run: fuse ? simplify : dead, stage: "chosen" },
  { name: "sums", run: fuse ? foldSums : same, stage: "chosen" },
  { name: "fuse_matmul", run: (graph) => fuseMatmul(graph, { fuse }), stage: "lowering" },
  { name: "storage_dtype", run: fuse ? chooseStorage : same, stage: "lowering" },
  { name: "fuse_map", run: (graph) => fuseMap(graph, { fuse }), stage: "fused" },
  {
    name: "narrow",
    run: kind === "cuda" && fuse ? (graph) => narrow(graph, narrowing) : same,
    stage: "fused",
  },
  { name: "column_sums", run: kind === "cuda" && fuse ? columnSums : same, stage: "fused" },
];

const same = (graph: Graph): Graph => graph;

export function fuseGraph(
  graph: Graph,
  options: CompileOptions = {},
  kind: Target["kind"] = "cpu",
): [Graph, Dump[]] {
  const checks = options.verify ?? process.env.DEBUG_IR === "1";
  const dumps: Dump[] = [];
  let current = graph;
  if (checks) verify(current, "differentiated");
  for (const pass of passes(kind, options)) {
    current = pass.run(current);
    if (checks) verify(current, pass.stage, kind);
    if (options.keepText === true) dumps.push({ pass: pass.name, text: graphText(current) });
  }
  return [current, dumps];
}

export function compile(graph: Graph, { kind }: Target, options: CompileOptions = {}): Compiled {
  const [fused, dumps] = fuseGraph(graph, options, kind);
  const planned = plan(fused, { inPlace: options.fuse ?? true, target: kind });
  return { program: encode(planned), plan: planned, graph: fused, dumps };
}
