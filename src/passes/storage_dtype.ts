/**
 * @file Which values are stored as bf16, and which casts nobody needs. Values that are only read after rounding to bf16
 * are stored rounded by the kernel that makes them; other casts in front of bf16 products vanish, because `matmul`
 * rounds f32 operands while it packs them.
 */
import type { Graph, Id, Node, TensorType } from "../ir/graph.ts";
import { opOf } from "../ops/registry.ts";
import { Consumers } from "./consumers.ts";
import { Edit } from "./edit.ts";
import { nodeOf, type Reader, readersOf, rootOf } from "./graph_queries.ts";
import { isElementwise } from "./map_groups.ts";

export function chooseStorage(graph: Graph): Graph {
  return absorbCasts(storeRounded(graph));
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

/** Kernels with an `out` attribute write their result 0 as bf16 when all its readers would round it anyway. */
function storeRounded(graph: Graph): Graph {
  const edit = new Edit(graph);
  const consumers = new Consumers(graph);
  let changed = false;
  graph.nodes.forEach((node, id) => {
    const type = node.types[0];
    if (type?.dtype !== "f32" || !hasStorageChoice(node)) return;
    const readers = readersOf(graph, consumers, id);
    if (readers === null || readers.length === 0) return;
    const rounded = readers.every(
      (reader) => isRounding(graph, nodeOf(graph, reader.id)) || roundsOperand(graph, reader),
    );
    if (!rounded) return;
    changed = true;
    const types = [{ ...type, dtype: "bf16" } as TensorType, ...node.types.slice(1)];
    edit.set(id, { ...node, attrs: { ...node.attrs, out: "bf16" }, types });
    for (const reader of readers) {
      const cast = nodeOf(graph, reader.id);
      if (isRounding(graph, cast)) edit.redirect(reader.id, cast.inputs[0] ?? 0);
      else keepResultDtype(edit, reader.id);
    }
  });
  return changed ? edit.finish() : graph;
}

const STORAGE_OPS = new Set(["matmul", "layer_norm", "rms_norm", "attention", "rope", "embedding"]);

const hasStorageChoice = (node: Node): boolean => STORAGE_OPS.has(node.op);

/** A reader whose result follows its operand's dtype must not change with it. */
function keepResultDtype(edit: Edit, id: Id): void {
  const node = edit.node(id);
  if (!hasStorageChoice(node) || node.attrs.out !== undefined) return;
  edit.set(id, { ...node, attrs: { ...node.attrs, out: node.types[0]?.dtype ?? "f32" } });
}

/** Casts whose readers all round by themselves, of values that are in memory as f32 anyway. */
function absorbCasts(graph: Graph): Graph {
  const edit = new Edit(graph);
  const consumers = new Consumers(graph);
  let changed = false;
  graph.nodes.forEach((node, id) => {
    if (!isRounding(graph, node)) return;
    const source = node.inputs[0] ?? 0;
    const root = nodeOf(graph, rootOf(graph, source));
    // An elementwise producer stores the rounded value itself, in the same kernel.
    if (isElementwise(root) || opOf(root.op).name === "const") return;
    const readers = readersOf(graph, consumers, id);
    if (readers === null || !readers.every((reader) => roundsOperand(graph, reader))) return;
    edit.redirect(id, source);
    for (const reader of readers) keepResultDtype(edit, reader.id);
    changed = true;
  });
  return changed ? edit.finish() : graph;
}
