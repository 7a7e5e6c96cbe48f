/**
 * @file A graph under change by a pass. Ids of the old graph stay valid: a pass redirects uses, replaces or appends
 * nodes, and `finish` writes a new graph in which everything still needed stands after its inputs, otherwise in the
 * old order. Runs several times per program before anything is compiled to machine code, hence the plain loops.
 */
import type { Graph, Id, Node, Output, TensorType } from "../ir/graph.ts";
import { assert } from "../util/errors.ts";
import { VIEW_OPS } from "./view_ops.ts";

const NO_TARGET = -1;
const NEW = -1;
const OPEN = -2;

export class Edit {
  readonly nodes: Node[];
  readonly outputs: readonly Output[];
  private readonly name: string;
  private readonly originals: number;
  private readonly target: number[];
  /** Appended nodes with a place of their own, by the original node that they stand before. */
  private readonly anchored = new Map<Id, Id[]>();

  constructor(graph: Graph) {
    this.nodes = graph.nodes.slice();
    this.outputs = graph.outputs;
    this.name = graph.name;
    this.originals = graph.nodes.length;
    this.target = new Array<number>(this.originals).fill(NO_TARGET);
  }

  node(id: Id): Node {
    const node = this.nodes[id];
    if (node === undefined) throw new Error(`internal: graph ${this.name} has no node ${id}`);
    return node;
  }

  type(id: Id): TensorType {
    const type = this.node(id).types[0];
    if (type === undefined) throw new Error(`internal: node ${id} has no result`);
    return type;
  }

  /** The id that stands for `id` after all redirections. */
  resolve(id: Id): Id {
    let at = id;
    for (let next = this.target[at] ?? NO_TARGET; next !== NO_TARGET; ) {
      at = next;
      next = this.target[at] ?? NO_TARGET;
    }
    return at;
  }

  isRedirected(id: Id): boolean {
    return this.target[id] !== NO_TARGET;
  }

  /** Every use of `from` becomes a use of `to`. */
  redirect(from: Id, to: Id): void {
    const target = this.resolve(to);
    assert(target !== from, `node ${from} would stand for itself`);
    this.target[from] = target;
  }

  /** Appends a node; it is placed where its first user needs it. */
  add(node: Node): Id {
    this.nodes.push(node);
    this.target.push(NO_TARGET);
    return this.nodes.length - 1;
  }

  /**
   * Appends a node that is placed where the original node `position` stood, unless a user needs it earlier. `first`:
   * before the others that were appended there.
   */
  addAt(position: Id, node: Node, first = false): Id {
    const id = this.add(node);
    const others = this.anchored.get(position);
    if (others === undefined) this.anchored.set(position, [id]);
    else if (first) others.unshift(id);
    else others.push(id);
    return id;
  }

  /** Replaces a node in its place in the order; inputs may be any ids that do not depend on it. */
  set(id: Id, node: Node): void {
    this.nodes[id] = node;
  }

  /** Only what the outputs need, and all inputs of the program: their slots are its interface. */
  finish(): Graph {
    const live = this.liveNodes();
    const placed = new Int32Array(this.nodes.length).fill(NEW);
    const nodes: Node[] = [];
    for (let id = 0; id < this.originals; id++) {
      const extras = this.anchored.get(id);
      if (extras !== undefined) {
        for (const extra of extras) if (live[extra] === 1) this.place(extra, placed, nodes);
      }
      if (live[id] === 1) this.place(id, placed, nodes);
    }
    const outputs = this.outputs.map((output) => {
      const id = this.resolve(output.node);
      this.place(id, placed, nodes);
      return { ...output, node: placed[id] ?? 0 };
    });
    return { name: this.name, nodes, outputs };
  }

  private liveNodes(): Uint8Array {
    const live = new Uint8Array(this.nodes.length);
    for (const output of this.outputs) live[this.resolve(output.node)] = 1;
    const stack: Id[] = [];
    for (let id = 0; id < live.length; id++) {
      const isInput = this.nodes[id]?.op === "input" && this.target[id] === NO_TARGET;
      if (isInput) live[id] = 1;
      else if (live[id] === 1) stack.push(id);
    }
    for (let id = stack.pop(); id !== undefined; id = stack.pop()) {
      for (const input of this.node(id).inputs) {
        const at = this.resolve(input);
        if (live[at] === 1) continue;
        live[at] = 1;
        stack.push(at);
      }
    }
    return live;
  }

  /** Writes `root` after its inputs; an explicit stack, because chains may be thousands of nodes long. */
  private place(root: Id, placed: Int32Array, nodes: Node[]): void {
    if ((placed[root] ?? NEW) >= 0) return;
    const stack: Id[] = [root];
    while (stack.length > 0) {
      const id = stack[stack.length - 1] ?? 0;
      if ((placed[id] ?? NEW) >= 0) {
        stack.pop();
        continue;
      }
      placed[id] = OPEN;
      const node = this.node(id);
      const missing = this.firstMissing(node, placed);
      if (missing !== NEW) {
        assert(placed[missing] !== OPEN, `the pass made a cycle at ${node.op} (${node.scope})`);
        stack.push(missing);
        continue;
      }
      stack.pop();
      placed[id] = nodes.length;
      nodes.push(this.moved(node, placed, nodes));
    }
  }

  private firstMissing(node: Node, placed: Int32Array): Id {
    for (const input of node.inputs) {
      const at = this.resolve(input);
      if ((placed[at] ?? NEW) < 0) return at;
    }
    return NEW;
  }

  /** The node with the new ids of its inputs; itself if they are the old ones. */
  private moved(node: Node, placed: Int32Array, nodes: readonly Node[]): Node {
    const ids: Id[] = [];
    let same = true;
    for (const input of node.inputs) {
      const id = placed[this.resolve(input)] ?? 0;
      if (id !== input) same = false;
      ids.push(id);
    }
    const next = same ? node : withInputs(node, ids);
    return VIEW_OPS.has(node.op) ? retyped(next, nodes[ids[0] ?? 0]) : next;
  }
}

/** A copy with other inputs. */
export function withInputs(node: Node, inputs: readonly Id[]): Node {
  const { op, attrs, types, scope, phase } = node;
  return { op, inputs, attrs, types, scope, phase };
}

/** A view has the dtype of what it looks at, which a pass may have changed. */
function retyped(node: Node, source: Node | undefined): Node {
  const isGet = node.op === "get";
  const dtype = source?.types[isGet ? Number(node.attrs.index) : 0]?.dtype;
  const type = node.types[0];
  if (type === undefined || dtype === undefined || type.dtype === dtype) return node;
  const attrs = isGet ? { ...node.attrs, dtype } : node.attrs;
  return { ...node, attrs, types: [{ shape: type.shape, dtype }] };
}
