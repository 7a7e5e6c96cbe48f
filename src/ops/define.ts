/**
 * @file What an op is: one object that holds everything about it (types, meaning, gradient, factor labels,
 * kernels, samples). Tests, passes and documentation read this object, so a new op is one file here plus its kernels.
 */
import type { Attrs, Id, Node, TensorType } from "../ir/graph.ts";
import type { Builder } from "./builder.ts";
import type { CpuKernel } from "./kernel.ts";
import type { RefTensor } from "./reference.ts";

/** prim: the closed set every backend runs. fused: optional everywhere, has a decomposition.
 * lowered: made only by passes (map, matmul with epilogue, copy ...), never by a front end. */
export type Tier = "prim" | "fused" | "lowered";

export interface VjpContext<A extends Attrs = Attrs> {
  readonly inputs: readonly Id[];
  /** One id per result (result 0 is the node, the others are `get` nodes). */
  readonly outputs: readonly Id[];
  readonly attrs: A;
  /** Cotangent per result, null where nothing flows back. Always f32, also for bf16 results. */
  readonly cotangents: readonly (Id | null)[];
  /** Whether input i needs a cotangent; a rule may return null for the others. */
  readonly wanted: readonly boolean[];
}

/** How to fill one input of a sample: `ids` draws integers below `max`, `distinct` a permutation, `mask` zeros and ones. */
export interface SampleInput {
  readonly shape: readonly number[];
  readonly dtype: TensorType["dtype"];
  readonly fill?: "normal" | "positive" | "small" | "ids" | "mask" | "distinct";
  readonly max?: number;
  /** The exact values, row-major, where random ones would not be sound (hyperparameters, document starts); wins over `fill`. */
  readonly values?: readonly number[];
}

export interface Sample<A extends Attrs = Attrs> {
  readonly name: string;
  readonly inputs: readonly SampleInput[];
  readonly attrs: A;
  /** Relative tolerance of kernel against reference, where the default (by dtype and reduction length) does not fit. */
  readonly tolerance?: number;
}

export interface OpDef<A extends Attrs = Attrs> {
  readonly name: string;
  readonly tier: Tier;
  readonly doc: string;
  /** Result types; throws UserError `[op] expected ..., got ...` when the inputs do not fit. */
  infer(inputs: readonly TensorType[], attrs: A): readonly TensorType[];
  /** Slow f64 meaning. Required for prim and lowered; a fused op is run through its decomposition. */
  reference?(
    inputs: readonly RefTensor[],
    attrs: A,
    types: readonly TensorType[],
  ): readonly RefTensor[];
  /** Required for fused: the same results from primitives (or from other fused ops). */
  decompose?(b: Builder, inputs: readonly Id[], attrs: A): readonly Id[];
  /** Cotangent per input. Absent: derived by differentiating the decomposition; null: not differentiable. */
  vjp?: ((b: Builder, context: VjpContext<A>) => readonly (Id | null)[]) | null;
  /**
   * Factor labels, one list per operand: inputs first, then results, e.g. dot = [["m","k"],["k","n"],["m","n"]].
   * A label that is in the inputs and in no result is summed over; `whole` lists labels that may not be split.
   */
  dims?(
    inputs: readonly TensorType[],
    attrs: A,
  ): { readonly labels: readonly (readonly string[])[]; readonly whole?: readonly string[] };
  /** Elementwise ops: name in `MapOp` of zig/abi.zig, or null where loads and stores already do it (a cast). */
  map?(inputs: readonly TensorType[], attrs: A, types: readonly TensorType[]): string | null;
  /** Floating-point operations of one execution; default: none counted. */
  flops?(inputs: readonly TensorType[], attrs: A, types: readonly TensorType[]): number;
  readonly kernels: { readonly cpu?: CpuKernel };
  readonly samples: readonly Sample<A>[];
}

/** Gives `attrs` its type inside the definition and erases it outside, where ops are handled as a table. */
export function defineOp<A extends Attrs>(def: OpDef<A>): OpDef<A> {
  return Object.freeze(def);
}

// biome-ignore lint/suspicious/noExplicitAny: the registry holds ops with different attrs; each checks its own in infer.
export type AnyOp = OpDef<any>;

export type { CpuKernel, Node };
