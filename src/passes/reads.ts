/** @file When memory is last read: positions of real readers, looked up through views. */
import type { Graph, Id, Node } from "../ir/graph.ts";
import { assert } from "../util/errors.ts";
import { VIEW_OPS } from "./view_ops.ts";

export const AT_END = Number.MAX_SAFE_INTEGER;
export const NEVER = -1;

/** More results than any op has. */
const RESULTS_MAX = 64;

/** One number for result `result` of node `id`. */
export const resultKey = (id: Id, result: number): number => id * RESULTS_MAX + result;

export const isView = (op: string): boolean => VIEW_OPS.has(op) || op === "bitcast";

export class LastReads {
  private readonly graph: Graph;
  /** Per node: position of the last node that reads it or a view of it; result 0 for nodes with several. */
  private readonly byNode: Float64Array;
  private readonly byResult = new Map<number, number>();

  constructor(graph: Graph) {
    this.graph = graph;
    this.byNode = new Float64Array(graph.nodes.length).fill(NEVER);
    for (const output of graph.outputs) this.byNode[output.node] = AT_END;
    for (let id = graph.nodes.length - 1; id >= 0; id--) {
      const node = this.node(id);
      const position = isView(node.op) ? (this.byNode[id] ?? NEVER) : id;
      for (const input of node.inputs) this.note(input, node, position);
    }
  }

  /** Last read of the memory that `id` is or looks at: a position, AT_END if an output shows it, or NEVER. */
  of(id: Id): number {
    let at = id;
    for (let node = this.node(at); isView(node.op); node = this.node(at)) {
      at = node.inputs[0] ?? 0;
      if (node.op === "get") {
        return this.byResult.get(resultKey(at, Number(node.attrs.index))) ?? NEVER;
      }
    }
    return this.byNode[at] ?? NEVER;
  }

  private node(id: Id): Node {
    const node = this.graph.nodes[id];
    assert(node !== undefined, `graph ${this.graph.name} has no node ${id}`);
    return node;
  }

  private note(input: Id, reader: Node, position: number): void {
    if (reader.op === "get") {
      const key = resultKey(input, Number(reader.attrs.index));
      this.byResult.set(key, Math.max(this.byResult.get(key) ?? NEVER, position));
    } else {
      this.byNode[input] = Math.max(this.byNode[input] ?? NEVER, position);
    }
  }
}
