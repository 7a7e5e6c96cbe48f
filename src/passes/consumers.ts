/** @file Who uses which node: the consumers of all nodes in one pair of arrays. */
import type { Graph, Id } from "../ir/graph.ts";

export class Consumers {
  private readonly start: Int32Array;
  private readonly list: Int32Array;
  private readonly isOutput: Uint8Array;

  constructor(graph: Graph) {
    const count = graph.nodes.length;
    this.start = new Int32Array(count + 1);
    for (const node of graph.nodes) {
      for (const input of node.inputs) this.start[input + 1] = (this.start[input + 1] ?? 0) + 1;
    }
    for (let i = 0; i < count; i++) {
      this.start[i + 1] = (this.start[i + 1] ?? 0) + (this.start[i] ?? 0);
    }
    this.list = new Int32Array(this.start[count] ?? 0);
    const next = this.start.slice();
    graph.nodes.forEach((node, id) => {
      for (const input of node.inputs) {
        const at = next[input] ?? 0;
        this.list[at] = id;
        next[input] = at + 1;
      }
    });
    this.isOutput = new Uint8Array(count);
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
