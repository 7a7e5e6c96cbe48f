/**
 * @file Per node: keep a fused op whose kernel takes the node, decompose it otherwise. Afterwards every op is a
 * primitive, elementwise, or has a kernel that supports it.
 */
import type { Graph, Id, Node, TensorType } from "../ir/graph.ts";
import { Builder } from "../ops/builder.ts";
import type { TargetKind } from "../ops/kernel.ts";
import { opOf } from "../ops/registry.ts";
import { assert } from "../util/errors.ts";

/** Decompositions may contain fused ops; more than this many levels is a decomposition into itself. */
const MAX_DEPTH = 8;

function isKept(node: Node, nodes: readonly Node[], kind: TargetKind): boolean {
  const op = opOf(node.op);
  if (op.tier !== "fused") return true;
  if (op.map !== undefined) return true;
  const kernel = op.kernels.cpu;
  if (kernel === undefined) return false;
  return kernel.supports === undefined || kernel.supports(node, inputTypesOf(nodes, node), kind);
}

const inputTypesOf = (nodes: readonly Node[], node: Node): TensorType[] =>
  node.inputs.map((id) => {
    const type = nodes[id]?.types[0];
    assert(type !== undefined, `${node.op} reads a node without result`);
    return type;
  });

export function choose(graph: Graph, kind: TargetKind): Graph {
  let current = graph;
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    const { nodes } = current;
    const open = nodes.map((node) => !isKept(node, nodes, kind));
    if (!open.includes(true)) return current;
    current = decompose(current, open);
  }
  assert(false, `decompositions in ${graph.name} do not end`);
}

function decompose(graph: Graph, open: readonly boolean[]): Graph {
  const builder = new Builder(graph.name);
  /** New ids of all results, by old id. */
  const results: (readonly Id[])[] = [];
  const idOf = (id: Id): Id => {
    const at = results[id]?.[0];
    assert(at !== undefined, `node ${id} is used before it is made`);
    return at;
  };
  graph.nodes.forEach((node, id) => {
    const source = results[node.inputs[0] ?? -1];
    if (node.op === "get" && open[node.inputs[0] ?? -1] === true) {
      const at = source?.[Number(node.attrs.index)];
      assert(at !== undefined, `${node.scope} reads a result that the decomposition lacks`);
      results[id] = [at];
      return;
    }
    const inputs = node.inputs.map(idOf);
    if (open[id] === true) {
      results[id] = builder.as(node, () => decomposeNode(builder, node, inputs));
      return;
    }
    // Kept nodes go in as they are: they are unique already, and types may differ from infer's.
    results[id] = [builder.nodes.length];
    builder.nodes.push({ ...node, inputs });
  });
  const outputs = graph.outputs.map((output) => ({ ...output, node: idOf(output.node) }));
  return { name: graph.name, nodes: builder.nodes, outputs };
}

function decomposeNode(builder: Builder, node: Node, inputs: readonly Id[]): readonly Id[] {
  const op = opOf(node.op);
  assert(op.decompose !== undefined, `fused op ${node.op} has no decomposition`);
  return op.decompose(builder, inputs, node.attrs);
}
