/**
 * @file Runs accumulations into state as soon as their operands exist. They are traced at the end of a program, where
 * they would keep every gradient alive until then.
 */
import type { Graph, Id, Node } from "../ir/graph.ts";
import { opOf } from "../ops/registry.ts";
import { Consumers } from "./consumers.ts";
import { availableFrom, rootOf } from "./graph_queries.ts";
import { isView } from "./reads.ts";

export function hoist(graph: Graph): Graph {
  const moved = movedNodes(graph);
  if (moved.size === 0) return graph;
  const order = newOrder(graph, moved);
  const position = new Int32Array(graph.nodes.length);
  order.forEach((id, at) => {
    position[id] = at;
  });
  const at = (id: Id): Id => position[id] ?? 0;
  return {
    name: graph.name,
    nodes: order.flatMap((id) => {
      const node = graph.nodes[id];
      return node === undefined ? [] : [{ ...node, inputs: node.inputs.map(at) }];
    }),
    outputs: graph.outputs.map((output) => ({ ...output, node: at(output.node) })),
  };
}

/** Nodes that make a state's next value and whose old state nobody else reads. */
function movedNodes(graph: Graph): Set<Id> {
  const consumers = new Consumers(graph);
  const moved = new Set<Id>();
  for (const output of graph.outputs) {
    if (output.alias === undefined) continue;
    const root = rootOf(graph, output.node);
    const node = graph.nodes[root];
    if (node === undefined || node.types.length > 1 || isPlanned(node)) continue;
    const sole = node.inputs.every((input) => {
      const source = rootOf(graph, input);
      return graph.nodes[source]?.attrs.kind !== "state" || consumers.count(source) === 1;
    });
    if (sole && (opOf(node.op).kernels.cpu?.inPlace?.(node).length ?? 0) > 0) moved.add(root);
  }
  return moved;
}

const isPlanned = (node: Node): boolean => node.op === "input" || node.op === "concat";

/** Each moved node follows its latest real operand; inputs of the program and views wait for whoever needs them. */
function newOrder(graph: Graph, moved: ReadonlySet<Id>): Id[] {
  const after = new Map<Id, Id[]>();
  for (const id of [...moved].sort((a, b) => a - b)) {
    const inputs = graph.nodes[id]?.inputs ?? [];
    const latest = inputs.reduce((most, input) => Math.max(most, availableFrom(graph, input)), -1);
    const list = after.get(latest);
    if (list === undefined) after.set(latest, [id]);
    else list.push(id);
  }
  const order: Id[] = [];
  const done = new Uint8Array(graph.nodes.length);
  const emit = (id: Id): void => {
    if (done[id] === 1) return;
    for (const input of graph.nodes[id]?.inputs ?? []) emit(input);
    if (done[id] === 1) return;
    done[id] = 1;
    order.push(id);
    for (const follower of after.get(id) ?? []) emit(follower);
  };
  graph.nodes.forEach((node, id) => {
    if (moved.has(id) || isView(node.op)) return;
    emit(id);
  });
  graph.nodes.forEach((_, id) => {
    emit(id);
  });
  return order;
}
