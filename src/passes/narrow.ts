/**
 * @file What a GPU keeps in bf16: one pass after fusion. A value is stored as bf16 where all of its readers take it so, under the
 * policy; what products read of values that stay f32 is cast, once for all readers of a program (a weight too).
 * `operands` (precision mixed): only what products read. `activations` (precision bf16): all that follows from the
 * model's inputs. Weights, their gradients, losses and statistics of rows stay f32 in both.
 */
import type { Graph, Id, Node } from "../ir/graph.ts";
import { Consumers } from "./consumers.ts";
import { Edit, withInputs } from "./edit.ts";
import { nodeOf, type Reader, stateUpdates } from "./graph_queries.ts";
import {
  canRead,
  canWrite,
  castAttrs,
  isGradientSum,
  isSavedAux,
  MODEL_OPS,
  residualOf,
  rounds,
  withNarrow,
  withOwnDtype,
} from "./narrow_rules.ts";
import { isView, resultKey } from "./reads.ts";

export type Narrowing = "operands" | "activations";

export function narrow(graph: Graph, which: Narrowing): Graph {
  const computes = graph.nodes.some(({ attrs }) => attrs.compute === "bf16");
  return computes ? new Narrow(graph, which).run() : graph;
}

/** An f32 result of a node; concat and pad only arrange those of others. */
interface Value {
  readonly id: Id;
  readonly result: number;
  /** Values of one dtype are joined; a key of another one, or its own. */
  leader: number;
  /** Of a leader: one of its values must stay f32. */
  blocked: boolean;
}

const ARRANGES = new Set(["concat", "pad"]);

class Narrow {
  private readonly graph: Graph;
  private readonly which: Narrowing;
  private readonly edit: Edit;
  /** Nodes that make the next value of a state: what goes into it comes as it is. */
  private readonly updates: ReadonlySet<Id>;
  private readonly values = new Map<number, Value>();
  /** Nodes whose result follows from the model's inputs. */
  private readonly activations = new Set<Id>();
  /** Casts of values and views, by id. */
  private readonly casts = new Map<Id, Id>();

  constructor(graph: Graph, which: Narrowing) {
    this.graph = graph;
    this.which = which;
    this.edit = new Edit(graph);
    this.updates = stateUpdates(graph, new Consumers(graph));
  }

  run(): Graph {
    const { nodes, outputs } = this.graph;
    nodes.forEach((node, id) => {
      this.declare(id, node);
    });
    nodes.forEach((node, id) => {
      this.constrain(id, node);
    });
    for (const { node } of outputs) this.block(node);
    nodes.forEach((node, id) => {
      this.edit.set(id, withOwnDtype(node));
    });
    for (const [key, { id, result }] of this.values) {
      if (this.isNarrow(key)) this.edit.set(id, withNarrow(this.edit.node(id), result));
    }
    nodes.forEach((node, id) => {
      this.castOperands(id, node);
    });
    return this.edit.finish();
  }

  private declare(id: Id, node: Node): void {
    if (isView(node.op) || node.op === "input" || node.op === "const") return;
    const follows = node.inputs.some((input) => this.activations.has(this.rootOf(input)));
    const arranges = ARRANGES.has(node.op);
    const isActivation = MODEL_OPS.has(node.op) || ((node.op === "map" || arranges) && follows);
    if (isActivation) this.activations.add(id);
    node.types.forEach(({ dtype }, result) => {
      if (dtype !== "f32") return;
      const leader = resultKey(id, result);
      const wanted = isActivation || this.which === "operands";
      const blocked = !wanted || !(arranges || canWrite(node, result));
      this.values.set(leader, { id, result, leader, blocked });
    });
  }

  /** What a node asks of the values that it reads. */
  private constrain(id: Id, node: Node): void {
    if (isView(node.op)) {
      if (node.op === "bitcast") this.block(node.inputs[0] ?? 0);
      return;
    }
    node.inputs.forEach((input, operand) => {
      const reader = { id, operand };
      if (ARRANGES.has(node.op)) this.join(input, id);
      else if (operand === residualOf(node) && this.which === "activations") this.join(input, id);
      else if (!this.takes(reader)) this.block(input);
    });
  }

  private takes(reader: Reader): boolean {
    if (rounds(this.graph, reader)) return true;
    if (this.which === "operands")
      return isGradientSum(this.graph, reader) || isSavedAux(this.graph, reader);
    const isUpdate = this.updates.has(reader.id) && nodeOf(this.graph, reader.id).op === "map";
    return !isUpdate && canRead(this.graph, reader);
  }

  private rootOf(id: Id): Id {
    let at = id;
    for (let node = nodeOf(this.graph, at); isView(node.op); node = nodeOf(this.graph, at))
      at = node.inputs[0] ?? 0;
    return at;
  }

  /** The value that `id` is or shows. */
  private keyOf(id: Id): number {
    let at = id;
    for (let node = nodeOf(this.graph, at); isView(node.op); node = nodeOf(this.graph, at)) {
      at = node.inputs[0] ?? 0;
      if (node.op === "get") return resultKey(at, Number(node.attrs.index));
    }
    return resultKey(at, 0);
  }

  private leaderOf(key: number): Value | undefined {
    let value = this.values.get(key);
    while (value !== undefined && value.leader !== resultKey(value.id, value.result))
      value = this.values.get(value.leader);
    return value;
  }

  private block(id: Id): void {
    const leader = this.leaderOf(this.keyOf(id));
    if (leader !== undefined) leader.blocked = true;
  }

  /** The two are to have one dtype. */
  private join(a: Id, b: Id): void {
    const [left, right] = [this.leaderOf(this.keyOf(a)), this.leaderOf(this.keyOf(b))];
    if (left === undefined) this.block(b);
    else if (right === undefined) this.block(a);
    else if (left !== right) {
      right.blocked ||= left.blocked;
      left.leader = right.leader;
    }
  }

  private isNarrow(key: number): boolean {
    return this.leaderOf(key)?.blocked === false;
  }

  private castOperands(id: Id, node: Node): void {
    const reads = (input: Id, operand: number): Id =>
      rounds(this.graph, { id, operand }) ? this.narrowed(input) : input;
    const inputs = node.inputs.map(reads);
    if (inputs.some((input, i) => input !== node.inputs[i]))
      this.edit.set(id, withInputs(this.edit.node(id), inputs));
  }

  /** `id` as bf16: itself where it is, else a cast of what lies in memory, seen through the same views. */
  private narrowed(id: Id): Id {
    const node = this.edit.node(id);
    const isF32 = nodeOf(this.graph, id).types[0]?.dtype === "f32";
    if (!isF32 || this.isNarrow(this.keyOf(id))) return id;
    const known = this.casts.get(id);
    if (known !== undefined) return known;
    const shape = node.types[0]?.shape ?? [];
    const types = [{ shape, dtype: "bf16" }] as const;
    const isPlainView = isView(node.op) && node.op !== "get" && node.op !== "bitcast";
    const made = isPlainView
      ? this.edit.add({ ...node, inputs: [this.narrowed(node.inputs[0] ?? 0)], types })
      : this.edit.add({ ...node, op: "map", inputs: [id], attrs: castAttrs(shape), types });
    this.casts.set(id, made);
    return made;
  }
}
