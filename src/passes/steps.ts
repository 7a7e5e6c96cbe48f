/**
 * @file From nodes to steps: views are resolved to operands, and where a kernel does not take a view, or a value is not
 * where it must end up, a copy is inserted. Views, copies and constants are made when the first reader needs them.
 */
import type { Graph, Id, Node } from "../ir/graph.ts";
import type { AnyOp } from "../ops/define.ts";
import { isContiguous, type Lowered, type TargetKind, type View } from "../ops/kernel.ts";
import { opOf } from "../ops/registry.ts";
import { assert } from "../util/errors.ts";
import { bytesOf, type Ref, type Step, sameView, viewBytes } from "./memory.ts";
import { type Placement, partViews } from "./placement.ts";
import { isView } from "./reads.ts";
import type { Storages } from "./storages.ts";
import { applyView, broadcastView, sliceView, wholeView } from "./view_algebra.ts";

export class StepBuilder {
  readonly steps: Step[] = [];
  private readonly graph: Graph;
  private readonly storages: Storages;
  private readonly placement: Placement;
  private readonly target: TargetKind;
  /** Results of the nodes that have run. */
  private readonly results: (readonly Ref[] | undefined)[];
  private readonly resolved: (Ref | undefined)[];
  private readonly contiguous: (Ref | undefined)[];

  constructor(graph: Graph, storages: Storages, placement: Placement, target: TargetKind) {
    this.graph = graph;
    this.storages = storages;
    this.placement = placement;
    this.target = target;
    const none = (): undefined[] => new Array<undefined>(graph.nodes.length).fill(undefined);
    this.results = none();
    this.resolved = none();
    this.contiguous = none();
  }

  build(): Step[] {
    this.graph.nodes.forEach((node, id) => {
      this.visit(id, node);
    });
    this.copyOutputs();
    return this.steps;
  }

  private node(id: Id): Node {
    const node = this.graph.nodes[id];
    assert(node !== undefined, `graph ${this.graph.name} has no node ${id}`);
    return node;
  }

  private visit(id: Id, node: Node): void {
    if (node.op === "const" || isView(node.op)) return;
    if (node.op === "input") {
      const ref = { storage: this.storages.ofInput(id), view: wholeView(typeOf(node)) };
      this.results[id] = [ref];
    } else if (node.op === "concat") {
      this.results[id] = [this.concat(id, node)];
    } else if (node.op === "pad") {
      this.results[id] = [this.pad(id, node)];
    } else {
      this.results[id] = this.kernel(id, node);
    }
  }

  /** Where the value of `id` lies; makes constants and the copies that a view needs. */
  private resolve(id: Id): Ref {
    const known = this.resolved[id];
    if (known !== undefined) return known;
    const ref = this.locate(id, this.node(id));
    this.resolved[id] = ref;
    return ref;
  }

  private locate(id: Id, node: Node): Ref {
    if (node.op === "const") return this.scalarConstant(id, node);
    if (!isView(node.op)) {
      const ref = this.results[id]?.[0];
      assert(ref !== undefined, `node ${id} (${node.op}) is read before it runs`);
      return ref;
    }
    const source = node.inputs[0] ?? 0;
    if (node.op === "get") {
      const ref = this.results[source]?.[Number(node.attrs.index)];
      assert(ref !== undefined, `node ${source} has no result ${node.attrs.index}`);
      return ref;
    }
    const from = this.resolve(source);
    const view = applyView(node, from.view);
    if (view !== null) return { storage: from.storage, view };
    const copy = this.inOrder(source);
    const moved = applyView(node, copy.view);
    assert(moved !== null, `${node.op} of a contiguous value needs no copy`);
    return { storage: copy.storage, view: moved };
  }

  /** One element, repeated by stride 0. */
  private scalarConstant(id: Id, node: Node): Ref {
    const type = typeOf(node);
    const scalar = this.fill(id, node, { shape: [], dtype: type.dtype });
    const view = broadcastView(scalar.view, { shape: type.shape, dims: [] });
    return { storage: scalar.storage, view };
  }

  private fill(id: Id, node: Node, type: Pick<View, "shape" | "dtype">, value?: number): Ref {
    const storage = this.storages.arena(node, bytesOf(type.shape, type.dtype));
    const ref = { storage, view: wholeView(type) };
    this.fillAt(id, node, ref, value ?? Number(node.attrs.value));
    return ref;
  }

  private fillAt(id: Id, node: Node, ref: Ref, value: number): void {
    const { shape, dtype } = ref.view;
    this.helper(id, { ...node, op: "fill", inputs: [], attrs: { value, shape, dtype } }, [], ref);
  }

  private copy(id: Id, node: Node, from: Ref, to: Ref): void {
    this.helper(id, { ...node, op: "copy", inputs: [id], attrs: {} }, [from], to);
  }

  /** A step that is no node of the graph. */
  private helper(id: Id, node: Node, inputs: readonly Ref[], output: Ref): void {
    const types = [{ shape: output.view.shape, dtype: output.view.dtype }];
    this.push(id, { ...node, types }, opOf(node.op), inputs, [output]);
  }

  /** The value of `id` with its elements in order; copied once for all readers that need it. */
  private inOrder(id: Id): Ref {
    const node = this.node(id);
    const known = this.contiguous[id];
    if (known !== undefined) return known;
    if (node.op === "const") {
      const ref = this.fill(id, node, typeOf(node));
      this.contiguous[id] = ref;
      return ref;
    }
    const from = this.resolve(id);
    if (isContiguous(from.view)) return from;
    const { shape, dtype } = from.view;
    const storage = this.storages.arena(node, bytesOf(shape, dtype), "copy");
    const to = { storage, view: wholeView({ shape, dtype }) };
    this.copy(id, node, from, to);
    this.contiguous[id] = to;
    return to;
  }

  private kernel(id: Id, node: Node): readonly Ref[] {
    const op = opOf(node.op);
    const kernel = op.kernels.cpu;
    assert(kernel !== undefined, `${node.op} (${node.scope}) has no kernel and was not fused`);
    const inputs = node.inputs.map((input, index) => {
      if (this.node(input).op === "const" && kernel.acceptsInput === undefined) {
        return this.inOrder(input);
      }
      const ref = this.resolve(input);
      const accepts = kernel.acceptsInput?.(node, index, ref.view) ?? isContiguous(ref.view);
      return accepts ? ref : this.inOrder(input);
    });
    const outputs = node.types.map((type, result) => {
      const placed = this.placement.of(id, result);
      if (placed !== undefined) return placed;
      const storage = this.storages.arena(node, bytesOf(type.shape, type.dtype));
      return { storage, view: wholeView(type) };
    });
    this.push(id, node, op, inputs, outputs);
    return outputs;
  }

  private push(
    id: Id,
    node: Node,
    op: AnyOp,
    inputs: readonly Ref[],
    outputs: readonly Ref[],
  ): void {
    const kernel = op.kernels.cpu;
    assert(kernel !== undefined, `${op.name} has no kernel`);
    const inputViews = inputs.map((ref) => ref.view);
    const scratch = kernel.scratch?.(node, inputViews, this.target) ?? {};
    const bytes = scratch.workspaceBytes ?? 0;
    const workspace = bytes > 0 ? this.storages.arena(node, bytes, "workspace") : null;
    const lowered = kernel.lower(
      node,
      inputViews,
      outputs.map((ref) => ref.view),
      this.target,
    );
    checkOperands(node, lowered, inputs, outputs);
    this.steps.push({
      node,
      id,
      inputs,
      outputs,
      workspace,
      perThreadBytes: scratch.perThreadBytes ?? 0,
      lowered,
      inPlace: kernel.inPlace?.(node) ?? [],
    });
  }

  private concat(id: Id, node: Node): Ref {
    const target = this.placement.of(id, 0);
    assert(target !== undefined, "every concat has a place");
    const types = node.inputs.map((input) => typeOf(this.node(input)));
    partViews(target.view, node, types).forEach((view, i) => {
      this.moveTo({ storage: target.storage, view }, node.inputs[i] ?? 0, id, node);
    });
    return target;
  }

  /** Brings the value of `input` to `to`, unless it is there. */
  private moveTo(to: Ref, input: Id, id: Id, node: Node): void {
    const source = this.node(input);
    if (source.op === "const" && isContiguous(to.view)) {
      this.fillAt(id, node, to, Number(source.attrs.value));
      return;
    }
    const from = this.resolve(input);
    if (from.storage !== to.storage || !sameView(from.view, to.view)) this.copy(id, node, from, to);
  }

  /** Zeros, then the operand on top. */
  private pad(id: Id, node: Node): Ref {
    const source = node.inputs[0] ?? 0;
    const { shape } = typeOf(this.node(source));
    const low = node.attrs.low as readonly number[];
    const target = this.fill(id, node, typeOf(node), 0);
    const limits = low.map((start, dim) => start + (shape[dim] ?? 0));
    const view = sliceView(target.view, low, limits);
    this.moveTo({ storage: target.storage, view }, source, id, node);
    return target;
  }

  /** Outputs that no producer could write in place. State that another output still shows is saved first. */
  private copyOutputs(): void {
    const pending = this.graph.outputs.flatMap((output) => {
      const { alias, name, node } = output;
      const storage = alias === undefined ? this.storages.output(name) : this.storages.state(alias);
      const view = wholeView(typeOf(this.node(node)));
      const from = this.node(node).op === "const" ? null : this.resolve(node);
      const there = from?.storage === storage && sameView(from.view, view);
      return there ? [] : [{ id: node, from, to: { storage, view } }];
    });
    const overwritten = new Set(pending.map(({ to }) => to.storage));
    const saved = pending.map(({ id, from }): Ref | null => {
      if (from === null || !overwritten.has(from.storage)) return from;
      const node = this.node(id);
      const storage = this.storages.arena(node, viewBytes(from.view), "copy");
      const to = { storage, view: wholeView(from.view) };
      this.copy(id, node, from, to);
      return to;
    });
    pending.forEach(({ id, to }, i) => {
      const from = saved[i] ?? null;
      if (from === null) this.moveTo(to, id, id, this.node(id));
      else this.copy(id, this.node(id), from, to);
    });
  }
}

function typeOf(node: Node): Pick<View, "shape" | "dtype"> {
  const type = node.types[0];
  assert(type !== undefined, `${node.op} has no result`);
  return type;
}

function checkOperands(
  node: Node,
  lowered: Lowered,
  inputs: readonly Ref[],
  outputs: readonly Ref[],
): void {
  const sameCount = (views: readonly View[] | undefined, refs: readonly Ref[]): boolean =>
    views === undefined || views.length === refs.length;
  const sound = sameCount(lowered.inputs, inputs) && sameCount(lowered.outputs, outputs);
  assert(sound, `${node.op} lowers to another number of operands`);
}
