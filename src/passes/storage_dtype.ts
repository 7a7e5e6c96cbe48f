/**
 * @file Which values are stored as bf16, and which casts nobody needs. Values that are only read after rounding to bf16
 * are stored rounded by the kernel that makes them; other casts in front of bf16 products vanish, because `matmul`
 * rounds f32 operands while it packs them.
 */
import type { Graph, Id, Node, TensorType } from "../ir/graph.ts";
import { Consumers } from "./consumers.ts";
import { Edit } from "./edit.ts";
import { nodeOf, type Reader, readersOf, rootOf } from "./graph_queries.ts";
import { isElementwise } from "./map_groups.ts";

export function chooseStorage(graph: Graph): Graph {
  const edit = new Edit(graph);
  const consumers = new Consumers(graph);
  let changed = false;
  let id = 0;
  for (const node of graph.nodes) {
    const { op } = node;
    if (STORAGE_OPS.has(op)) changed = storeRounded(graph, edit, consumers, id) || changed;
    id++;
  }
  id = 0;
  for (const node of graph.nodes) {
    if (node.op === "cast") changed = absorbCast(graph, edit, consumers, id) || changed;
    id++;
  }
  return changed ? edit.finish() : graph;
}

const isRounding = (graph: Graph, node: Node): boolean =>
  node.op === "cast" &&
  node.types[0]?.dtype === "bf16" &&
  nodeOf(graph, node.inputs[0] ?? 0).types[0]?.dtype === "f32";

/** Operands that fused ops round to bf16 themselves when they compute in bf16. */
const ROUNDED_OPERANDS: Readonly<Record<string, readonly number[]>> = {
  matmul: [0, 1],
  attention: [0, 1, 2],
  attention_grad: [0, 1, 2, 3],
  linear_cross_entropy: [0],
  linear_cross_entropy_grad: [0],
};

function roundsOperand(graph: Graph, { id, operand }: Reader): boolean {
  const node = nodeOf(graph, id);
  const operands = ROUNDED_OPERANDS[node.op];
  return node.attrs.compute === "bf16" && (operands?.includes(operand) ?? false);
}

const STORAGE_OPS = new Set(["matmul", "layer_norm", "rms_norm", "attention", "rope", "embedding"]);

/** Kernels with an `out` attribute write their result 0 as bf16 when all its readers would round it anyway. */
function storeRounded(graph: Graph, edit: Edit, consumers: Consumers, id: Id): boolean {
  const node = edit.node(id);
  const type = node.types[0];
  if (type?.dtype !== "f32") return false;
  const readers = readersOf(graph, consumers, id);
  if (readers === null || readers.length === 0) return false;
  for (const reader of readers) {
    const rounds = isRounding(graph, nodeOf(graph, reader.id)) || roundsOperand(graph, reader);
    if (!rounds) return false;
  }
  const rounded: TensorType = { shape: type.shape, dtype: "bf16" };
  const types = [rounded, ...node.types.slice(1)];
  edit.set(id, { ...node, attrs: { ...node.attrs, out: "bf16" }, types });
  for (const reader of readers) {
    const cast = nodeOf(graph, reader.id);
    if (isRounding(graph, cast)) edit.redirect(reader.id, cast.inputs[0] ?? 0);
    else keepResultDtype(edit, reader.id);
  }
  return true;
}

/** A reader whose result follows its operand's dtype must not change with it. */
function keepResultDtype(edit: Edit, id: Id): void {
  const node = edit.node(id);
  if (!STORAGE_OPS.has(node.op) || node.attrs.out !== undefined) return;
  edit.set(id, { ...node, attrs: { ...node.attrs, out: node.types[0]?.dtype ?? "f32" } });
}

/** A cast whose readers all round by themselves, of a value that is in memory as f32 anyway. */
function absorbCast(graph: Graph, edit: Edit, consumers: Consumers, id: Id): boolean {
  const node = nodeOf(graph, id);
  if (edit.isRedirected(id) || !isRounding(graph, node)) return false;
  const source = node.inputs[0] ?? 0;
  const root = nodeOf(graph, rootOf(graph, source));
  // An elementwise producer stores the rounded value itself, in the same kernel.
  if (root.op === "const" || isElementwise(root)) return false;
  const readers = readersOf(graph, consumers, id);
  if (readers === null) return false;
  for (const reader of readers) if (!roundsOperand(graph, reader)) return false;
  edit.redirect(id, source);
  for (const reader of readers) keepResultDtype(edit, reader.id);
  return true;
}
