/**
 * @file Values that are written directly where they must end up: into the state they replace, into the host's output
 * buffer, or into their part of a concat. Decided before any step is made, from the outputs backwards.
 */
import type { Graph, Id, Node, Output, TensorType } from "../ir/graph.ts";
import { isContiguous, type View } from "../ops/kernel.ts";
import type { ConcatAttrs } from "../ops/prim/concat.ts";
import { opOf } from "../ops/registry.ts";
import { dtypeBytes } from "../util/dtype.ts";
import { assert } from "../util/errors.ts";
import { elementCount, sameShape } from "../util/shapes.ts";
import { bytesOf, type Ref } from "./memory.ts";
import { isView, LastReads, NEVER, resultKey } from "./reads.ts";
import type { Storages } from "./storages.ts";
import { sliceView, unapplyView, wholeView } from "./view_algebra.ts";

interface Target {
  readonly ref: Ref;
  /** The memory holds another value that is read up to this position (state that is being replaced). */
  readonly busyUntil: number;
  /** The state input whose memory the target is, if it is one. */
  readonly state: Id | null;
}

const FREE = NEVER;

const PLAIN_VIEWS = new Set(["reshape", "stop_gradient", "bitcast", "get"]);

export class Placement {
  private readonly graph: Graph;
  private readonly storages: Storages;
  private readonly lastReads: LastReads;
  private readonly targets = new Map<number, Target>();

  constructor(graph: Graph, storages: Storages) {
    this.graph = graph;
    this.storages = storages;
    this.lastReads = new LastReads(graph);
    for (const output of graph.outputs) this.placeOutput(output);
    for (let id = graph.nodes.length - 1; id >= 0; id--) {
      const node = graph.nodes[id];
      if (node?.op === "concat") this.placeParts(id, node);
    }
  }

  /** Where result `result` of node `id` is to be written; undefined: wherever there is room. */
  of(id: Id, result: number): Ref | undefined {
    return this.targets.get(resultKey(id, result))?.ref;
  }

  private node(id: Id): Node {
    const node = this.graph.nodes[id];
    assert(node !== undefined, `graph ${this.graph.name} has no node ${id}`);
    return node;
  }

  private type(id: Id): TensorType {
    return this.node(id).types[0] ?? { shape: [], dtype: "f32" };
  }

  private placeOutput(output: Output): void {
    const view = wholeView(this.type(output.node));
    if (output.alias === undefined) {
      const storage = this.storages.output(output.name);
      this.place(output.node, { ref: { storage, view }, busyUntil: FREE, state: null });
      return;
    }
    const storage = this.storages.state(output.alias);
    const state = this.storages.stateNode(output.alias);
    if (state === output.node) return;
    const busyUntil = state === null ? FREE : this.lastReads.of(state);
    this.place(output.node, { ref: { storage, view }, busyUntil, state });
  }

  /** Whether the value of `id` could be arranged to lie at `target`. */
  private place(id: Id, target: Target): boolean {
    const node = this.node(id);
    if (node.op === "get") {
      const source = node.inputs[0] ?? 0;
      return this.placeResult(source, Number(node.attrs.index), target);
    }
    if (!isView(node.op)) return this.placeResult(id, 0, target);
    const source = node.inputs[0] ?? 0;
    const view = unapplyView(node, target.ref.view, this.type(source));
    if (view === null) return false;
    return this.place(source, { ...target, ref: { ...target.ref, view } });
  }

  private placeResult(id: Id, result: number, target: Target): boolean {
    const node = this.node(id);
    const key = resultKey(id, result);
    if (this.targets.has(key)) return false;
    if (node.op === "concat") {
      if (target.busyUntil !== FREE) return false;
    } else {
      const kernel = opOf(node.op).kernels.cpu;
      if (node.op === "const" || kernel === undefined) return false;
      const accepts = kernel.acceptsOutput?.(node, result, target.ref.view);
      if (!(accepts ?? isContiguous(target.ref.view))) return false;
      if (target.busyUntil >= id && !this.overwrites(id, node, result, target)) return false;
    }
    this.targets.set(key, target);
    this.placeOverwritten(id, node, result, target);
    return true;
  }

  /** Whether the node is itself the last reader of the state and may write over what it reads. */
  private overwrites(id: Id, node: Node, result: number, target: Target): boolean {
    if (target.busyUntil !== id || target.state === null) return false;
    const readers = node.inputs.flatMap((input, i) => (this.reads(input, target.state) ? [i] : []));
    const [index] = readers;
    if (index === undefined || readers.length !== 1) return false;
    const pairs = opOf(node.op).kernels.cpu?.inPlace?.(node) ?? [];
    const input = node.inputs[index] ?? 0;
    return (
      pairs.some(([r, i]) => r === result && i === index) &&
      this.isPlain(input) &&
      sameBytes(this.type(input), target.ref.view)
    );
  }

  /** Whether `id` looks at the memory of the state input `state`. */
  private reads(id: Id, state: Id | null): boolean {
    let at = id;
    while (isView(this.node(at).op)) at = this.node(at).inputs[0] ?? 0;
    return at === state;
  }

  /** All elements in order: only reshapes stand between the value and its memory. */
  private isPlain(id: Id): boolean {
    let at = id;
    for (let node = this.node(at); isView(node.op); node = this.node(at)) {
      if (!PLAIN_VIEWS.has(node.op)) return false;
      at = node.inputs[0] ?? 0;
    }
    return true;
  }

  /**
   * An accumulator that the node writes over (the base of a sum, say) is best made in the target's memory too. It
   * must die here, and its own making must not disturb what the memory held before.
   */
  private placeOverwritten(id: Id, node: Node, result: number, target: Target): void {
    if (target.state === null || target.busyUntil >= id) return;
    const pairs = opOf(node.op).kernels.cpu?.inPlace?.(node) ?? [];
    for (const [r, index] of pairs) {
      const input = node.inputs[index];
      if (r !== result || input === undefined || !this.isPlain(input)) continue;
      const type = this.type(input);
      if (!sameBytes(type, target.ref.view) || this.lastReads.of(input) !== id) continue;
      if (node.inputs.filter((other) => other === input).length > 1) continue;
      const view = { ...wholeView(type), offset: target.ref.view.offset };
      if (this.place(input, { ...target, ref: { ...target.ref, view } })) return;
    }
  }

  /** Producers of a concat's operands write their part of the result. */
  private placeParts(id: Id, node: Node): void {
    const own = this.targets.get(resultKey(id, 0));
    const type = this.type(id);
    const target = own ?? {
      ref: {
        storage: this.storages.arena(node, bytesOf(type.shape, type.dtype)),
        view: wholeView(type),
      },
      busyUntil: FREE,
      state: null,
    };
    this.targets.set(resultKey(id, 0), target);
    partViews(
      target.ref.view,
      node,
      node.inputs.map((input) => this.type(input)),
    ).forEach((view, i) => {
      this.place(node.inputs[i] ?? 0, { ...target, ref: { ...target.ref, view } });
    });
  }
}

/** Same elements in the same order, whatever the shape. */
function sameBytes(type: TensorType, view: View): boolean {
  return (
    isContiguous(view) &&
    dtypeBytes(type.dtype) === dtypeBytes(view.dtype) &&
    elementCount(type.shape) === elementCount(view.shape)
  );
}

/** The parts of a concat's view that its operands make. */
export function partViews(view: View, node: Node, operands: readonly TensorType[]): View[] {
  const { dim } = node.attrs as ConcatAttrs;
  let start = 0;
  return operands.map(({ shape }) => {
    const starts = shape.map((_, d) => (d === dim ? start : 0));
    const limits = shape.map((size, d) => (starts[d] ?? 0) + size);
    start += shape[dim] ?? 0;
    const part = sliceView(view, starts, limits);
    assert(sameShape(part.shape, shape), "a part of a concat has its operand's shape");
    return part;
  });
}
