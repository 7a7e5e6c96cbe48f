/**
 * @file The graph: one flat array of nodes in topological order, inputs are indices into it.
 * Passes never mutate a graph, they build a new array. A node may have several results; result 0 is the
 * node itself and the others are reached through `get` nodes, so an edge is always one integer.
 */
import type { DType } from "../util/dtype.ts";
import type { Shape } from "../util/shapes.ts";

/** Index of a node in `Graph.nodes`. */
export type Id = number;

export interface TensorType {
  readonly shape: Shape;
  readonly dtype: DType;
}

export type AttrValue =
  | number
  | string
  | boolean
  | null
  | readonly AttrValue[]
  | { readonly [key: string]: AttrValue };
export type Attrs = { readonly [key: string]: AttrValue };

/**
 * When a node runs. It is part of the hash-consing key: a rematerialised forward node (`recompute`) must
 * not be merged back into the forward node that it duplicates.
 */
export type Phase = "forward" | "backward" | "recompute" | "update";

export interface Node {
  readonly op: string;
  readonly inputs: readonly Id[];
  readonly attrs: Attrs;
  /** One entry per result. */
  readonly types: readonly TensorType[];
  /** Module path plus local name, for messages: `blocks.3.attn.dot`. */
  readonly scope: string;
  readonly phase: Phase;
}

export interface Output {
  readonly name: string;
  readonly node: Id;
  /** Name of the state input whose buffer this output replaces (donation). */
  readonly alias?: string;
}

export interface Graph {
  readonly name: string;
  readonly nodes: readonly Node[];
  readonly outputs: readonly Output[];
}

/** Attributes of the op `input`. `state` persists between runs and is shared by name between programs; `input` is
 * written by the host before each run (two slots). */
export type InputAttrs = { readonly name: string; readonly kind: "state" | "input" };

export const nodeAt = (graph: Graph, id: Id): Node => {
  const node = graph.nodes[id];
  if (node === undefined) throw new Error(`internal: graph ${graph.name} has no node ${id}`);
  return node;
};

/** Type of the value that a node stands for when it is used as an input: its result 0. */
export const typeOf = (graph: Graph, id: Id): TensorType => {
  const type = nodeAt(graph, id).types[0];
  if (type === undefined) throw new Error(`internal: node ${id} has no result`);
  return type;
};
