/** @file Questions that several passes ask about the neighbourhood of a node. */
import type { Graph, Id, Node } from "../ir/graph.ts";
import { assert } from "../util/errors.ts";
import type { Consumers } from "./consumers.ts";
import { isView } from "./reads.ts";

export function nodeOf(graph: Graph, id: Id): Node {
  const node = graph.nodes[id];
  assert(node !== undefined, `graph ${graph.name} has no node ${id}`);
  return node;
}

/** The node whose memory `id` looks at (a node with several results stands for each of them). */
export function rootOf(graph: Graph, id: Id): Id {
  let at = id;
  for (let node = nodeOf(graph, at); isView(node.op); node = nodeOf(graph, at)) {
    at = node.inputs[0] ?? 0;
  }
  return at;
}

/** Where nodes run that a pass has moved. */
export type Moved = ReadonlyMap<Id, number>;

/** Position from which a value can be read; inputs and constants are there from the start. */
export function availableFrom(graph: Graph, id: Id, moved: Moved = new Map()): number {
  const root = rootOf(graph, id);
  const { op } = nodeOf(graph, root);
  return op === "input" || op === "const" ? -1 : (moved.get(root) ?? root);
}

/** A reader of a value: the node, and which of its operands shows the value. */
export interface Reader {
  readonly id: Id;
  readonly operand: number;
}

/**
 * Who really reads `id`: consumers, looked up through views. Null if an output shows it. For a node with several
 * results, the readers of result 0 (others are behind `get`).
 */
export function readersOf(graph: Graph, consumers: Consumers, id: Id): Reader[] | null {
  const readers: Reader[] = [];
  const open: Id[] = [id];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (consumers.output(at)) return null;
    const several = nodeOf(graph, at).types.length > 1;
    const seen = new Set<Id>();
    for (const consumer of consumers.of(at)) {
      if (seen.has(consumer)) continue;
      seen.add(consumer);
      const node = nodeOf(graph, consumer);
      if (several && node.op === "get") continue;
      if (isView(node.op)) open.push(consumer);
      else {
        node.inputs.forEach((input, operand) => {
          if (input === at) readers.push({ id: consumer, operand });
        });
      }
    }
  }
  return readers;
}

/** Nodes that make the next value of a state. */
export function stateUpdates(graph: Graph, consumers: Consumers): Set<Id> {
  const updates = new Set<Id>();
  for (const output of graph.outputs) {
    const root = rootOf(graph, output.node);
    if (output.alias !== undefined && consumers.count(output.node) === 1) updates.add(root);
  }
  return updates;
}
