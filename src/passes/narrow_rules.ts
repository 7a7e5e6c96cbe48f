/**
 * @file What a GPU's kernels can read and write as bf16: results by the attribute that says so, operands by their position. The pass
 * itself is narrow.ts.
 */
import type { Graph, Node } from "../ir/graph.ts";
import { type MatmulAttrs, residualIndex } from "../ops/lowered/matmul.ts";
import type { Reader } from "./graph_queries.ts";
import { nodeOf } from "./graph_queries.ts";

/** Of a map that only stores what it loads, as bf16. */
export const castAttrs = (shape: readonly number[]) => ({
  shape,
  constants: [],
  code: [],
  results: [0],
  dtypes: ["bf16"],
});

export const isCastAttrs = ({ code, results, dtypes }: Node["attrs"]): boolean =>
  JSON.stringify([code, results, dtypes]) === '[[],[0],["bf16"]]';

/** Ops that only a forward or backward pass through a model has. */
export const MODEL_OPS = new Set([
  ...["matmul", "embedding", "rope", "attention", "attention_grad", "attention_cached"],
  ...["layer_norm", "layer_norm_grad", "rms_norm", "rms_norm_grad", "linear_cross_entropy_grad"],
]);

/** Attribute that holds the dtype of a result; `map` has one list for all of its results. */
const RESULT_ATTRS: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  matmul: { 0: "out", 1: "aux" },
  layer_norm: { 0: "out" },
  rms_norm: { 0: "out" },
  rope: { 0: "out" },
  embedding: { 0: "out" },
  attention: { 0: "out" },
  attention_grad: { 0: "dq", 1: "dk", 2: "dv" },
  layer_norm_grad: { 0: "out" },
  rms_norm_grad: { 0: "out" },
  linear_cross_entropy_grad: { 2: "out" },
};

/** Ops whose result follows the dtype of an operand where no attribute says otherwise. */
const FOLLOWS = new Set(["layer_norm", "rms_norm", "rope", "attention"]);

/** Operands that a kernel rounds to bf16 itself when it computes in bf16: casting them before changes nothing. */
const ROUNDED: Readonly<Record<string, readonly number[]>> = {
  matmul: [0, 1],
  attention: [0, 1, 2],
  attention_grad: [0, 1, 2, 3, 5],
  linear_cross_entropy: [0, 1],
  linear_cross_entropy_grad: [0, 1],
};

/** Operands in which bf16 is a matter of precision alone. */
const READABLE: Readonly<Record<string, readonly number[]>> = {
  layer_norm: [0],
  rms_norm: [0],
  layer_norm_grad: [0, 4, 5],
  rms_norm_grad: [0, 3, 4],
  rope: [0],
  attention: [0, 1, 2],
  attention_grad: [0, 1, 2, 3, 5],
  embedding_grad: [1],
  attention_cached: [0],
  cache_write: [1],
  linear_cross_entropy: [0, 1],
  linear_cross_entropy_grad: [0, 1],
};

export const resultAttr = (node: Node, result: number): string | undefined =>
  RESULT_ATTRS[node.op]?.[result];

export const canWrite = (node: Node, result: number): boolean =>
  node.op === "map" || resultAttr(node, result) !== undefined;

/** The node with result `result` in bf16. */
export function withNarrow(node: Node, result: number): Node {
  const types = node.types.map((type, i) =>
    i === result ? ({ ...type, dtype: "bf16" } as const) : type,
  );
  if (node.op === "map") {
    return { ...node, attrs: { ...node.attrs, dtypes: types.map(({ dtype }) => dtype) }, types };
  }
  const attr = resultAttr(node, result);
  return {
    ...node,
    attrs: attr === undefined ? node.attrs : { ...node.attrs, [attr]: "bf16" },
    types,
  };
}

/** The node with a result that stays as it is whatever becomes of its operands. */
export function withOwnDtype(node: Node): Node {
  if (!FOLLOWS.has(node.op) || node.attrs.out !== undefined) return node;
  return { ...node, attrs: { ...node.attrs, out: node.types[0]?.dtype ?? "f32" } };
}

/** Whether the reader multiplies in bf16 what it reads. */
export function rounds(graph: Graph, { id, operand }: Reader): boolean {
  const node = nodeOf(graph, id);
  return node.attrs.compute === "bf16" && (ROUNDED[node.op]?.includes(operand) ?? false);
}

/** A sum that makes the gradient of a bias from what products read. */
export function isGradientSum(graph: Graph, { id }: Reader): boolean {
  const { op, phase, attrs } = nodeOf(graph, id);
  const plain =
    attrs.kind === "sum" && (attrs.code as readonly unknown[] | undefined)?.length === 0;
  return op === "map_reduce" && phase === "backward" && plain;
}

/** Whether the kernel can read the operand as bf16. */
export function canRead(graph: Graph, { id, operand }: Reader): boolean {
  const node = nodeOf(graph, id);
  if (node.op === "map" || node.op === "map_reduce") return true;
  if (node.op === "matmul") return operand < 2 || operand >= biasEnd(node);
  return READABLE[node.op]?.includes(operand) ?? false;
}

/** Operands behind a product's bias: residual, and the value before an activation. */
const biasEnd = (node: Node): number => 2 + Number(node.attrs.bias);

/** Whether a product reads the value as the one before an activation. */
export function isSavedAux(graph: Graph, { id, operand }: Reader): boolean {
  const { op, attrs, inputs } = nodeOf(graph, id);
  const isAux = op === "matmul" && attrs.activationGrad === true && operand === inputs.length - 1;
  return isAux && attrs.compute === "bf16";
}

/** Bases that a gradient is added to, as operands. */
const BASES: Readonly<Record<string, number>> = { layer_norm_grad: 5, rms_norm_grad: 4 };

/** The operand that a node adds its result to, which is to be as precise as that result; or -1. */
export const residualOf = (node: Node): number =>
  node.op === "matmul" ? residualIndex(node.attrs as MatmulAttrs) : (BASES[node.op] ?? -1);
