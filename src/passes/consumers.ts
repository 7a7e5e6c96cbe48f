/** @file Who uses which node: the consumers of all nodes in one pair of arrays. */
import type { Graph, Id } from "../ir/graph.ts";

export class Consumers {
  private readonly start: Int32Array;
  private readonly list: Int32Array;
  private readonly isOutput: Uint8Array;

  constructor(graph: Graph) {
    const { nodes } = graph;
    const start = new Int32Array(nodes.length + 1);
    for (const node of nodes) {
      for (const input of node.inputs) start[input + 1] = (start[input + 1] ?? 0) + 1;
    }
    for (let i = 0; i < nodes.length; i++) start[i + 1] = (start[i + 1] ?? 0) + (start[i] ?? 0);
    const list = new Int32Array(start[nodes.length] ?? 0);
    const next = start.slice();
    let id = 0;
    for (const node of nodes) {
      for (const input of node.inputs) {
        const at = next[input] ?? 0;
        list[at] = id;
        next[input] = at + 1;
      }
      id++;
    }
    this.start = start;
    this.list = list;
    this.isOutput = new Uint8Array(nodes.length);
    for (const output of graph.outputs) this.isOutput[output.node] = 1;
  }

  /** Consumers in the order of the graph; one that uses the node twice is there twice. */
  of(id: Id): Int32Array {
    return this.list.subarray(this.start[id] ?? 0, this.start[id + 1] ?? 0);
  }

  /** Uses by nodes, plus one if it is an output of the program. */
  count(id: Id): number {
    return (this.start[id + 1] ?? 0) - (this.start[id] ?? 0) + (this.isOutput[id] ?? 0);
  }

  output(id: Id): boolean {
    return this.isOutput[id] === 1;
  }
}
