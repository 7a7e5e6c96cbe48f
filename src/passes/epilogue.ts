/**
 * @file What follows a dot and can be done while its result is stored: scale, bias, activation, its derivative, residual.
 * The chain is walked consumer by consumer as long as nobody else needs the value in between; only the value before
 * an activation may have other readers, who get it as a second result.
 */
import type { Graph, Id, Node } from "../ir/graph.ts";
import type { Activation } from "../ops/lowered/matmul.ts";
import type { BroadcastAttrs } from "../ops/prim/broadcast.ts";
import { elementCount } from "../util/shapes.ts";
import type { Consumers } from "./consumers.ts";
import { availableFrom, type Moved, nodeOf } from "./graph_queries.ts";
import { isElementwise } from "./map_groups.ts";

export interface Epilogue {
  /** The node whose value the matmul now makes. */
  readonly end: Id;
  /** Position at which the matmul runs. */
  readonly position: Id;
  readonly alpha: number;
  /** A vector of the columns. */
  readonly bias: Id | null;
  readonly activation: Activation;
  /** The node whose value is stored before the activation. */
  readonly saved: Id | null;
  /** Input of the activation whose derivative multiplies the result. */
  readonly aux: Id | null;
  readonly residual: Id | null;
}

/** Parts of the epilogue in the order in which the kernel applies them. */
const ALPHA = 0;
const BIAS = 1;
const ACTIVATION = 2;
const RESIDUAL = 3;

type Draft = { -readonly [K in keyof Epilogue]: Epilogue[K] } & { done: number };

/** What the walk looks at. */
export interface Surroundings {
  readonly graph: Graph;
  readonly consumers: Consumers;
  /** Ends of earlier epilogues. */
  readonly moved: Moved;
}

export function epilogueOf(around: Surroundings, dot: Id, columns: number): Epilogue {
  return new Walk(around, dot, columns).run();
}

class Walk {
  private readonly graph: Graph;
  private readonly consumers: Consumers;
  private readonly moved: Moved;
  private readonly columns: number;
  private readonly draft: Draft;

  constructor({ graph, consumers, moved }: Surroundings, dot: Id, columns: number) {
    this.graph = graph;
    this.consumers = consumers;
    this.moved = moved;
    this.columns = columns;
    this.draft = {
      end: dot,
      position: dot,
      alpha: 1,
      bias: null,
      activation: "none",
      saved: null,
      aux: null,
      residual: null,
      done: ALPHA,
    };
  }

  run(): Epilogue {
    while (this.step()) {}
    return this.draft;
  }

  private step(): boolean {
    const { end } = this.draft;
    if (this.consumers.output(end)) return false;
    const list = this.consumers.of(end);
    const [next] = list;
    if (list.length !== 1 || next === undefined) return this.saveAndActivate(list);
    const node = nodeOf(this.graph, next);
    switch (node.op) {
      case "reshape":
        return this.advance(next, this.draft.done);
      case "mul":
        return this.scale(next, node) || this.activationGradient(next, node);
      case "add":
        return this.bias(next, node) || this.residual(next, node);
      case "gelu":
      case "silu":
        return this.activate(next, node, null);
      default:
        return false;
    }
  }

  private advance(end: Id, done: number): boolean {
    this.draft.end = end;
    this.draft.done = done;
    return true;
  }

  private other(node: Node): Id {
    const [x = 0, y = 0] = node.inputs;
    return x === this.draft.end ? y : x;
  }

  /**
   * An operand of the epilogue must exist when the matmul runs. If it is made after the dot, the matmul moves to
   * `next`, the node that uses it, unless a saved value has readers before that.
   */
  private admits(operand: Id, next: Id): boolean {
    const available = availableFrom(this.graph, operand, this.moved);
    if (available < this.draft.position) return true;
    if (this.draft.saved !== null || available >= this.draft.end) return false;
    this.draft.position = next;
    return true;
  }

  private scale(next: Id, node: Node): boolean {
    const factor = nodeOf(this.graph, this.other(node));
    if (this.draft.done > ALPHA || factor.op !== "const") return false;
    this.draft.alpha *= Number(factor.attrs.value);
    return this.advance(next, ALPHA);
  }

  private bias(next: Id, node: Node): boolean {
    if (this.draft.done >= BIAS) return false;
    const source = this.columnVector(this.other(node));
    if (source === null || !this.admits(source, next)) return false;
    this.draft.bias = source;
    return this.advance(next, BIAS);
  }

  /** The operand of a broadcast that repeats one f32 value per column over all rows. */
  private columnVector(id: Id): Id | null {
    const node = nodeOf(this.graph, id);
    if (node.op !== "broadcast") return null;
    const { shape, dims } = node.attrs as BroadcastAttrs;
    const source = node.inputs[0] ?? 0;
    const type = nodeOf(this.graph, source).types[0];
    const trailing = dims.every((dim, i) => {
      const size = type?.shape[i];
      return dim === shape.length - dims.length + i && size === shape[dim];
    });
    const fits = type?.dtype === "f32" && elementCount(type.shape) === this.columns;
    return trailing && fits ? source : null;
  }

  private activationOf(node: Node): Activation {
    return node.op.startsWith("silu") ? "silu" : (`gelu_${node.attrs.form}` as Activation);
  }

  private activate(next: Id, node: Node, saved: Id | null): boolean {
    if (this.draft.done >= ACTIVATION || this.feedsElementwise(next)) return false;
    this.draft.activation = this.activationOf(node);
    this.draft.saved = saved;
    return this.advance(next, ACTIVATION);
  }

  /** A `map` that reads the activation applies it for free; storing both values would cost more. */
  private feedsElementwise(id: Id): boolean {
    if (this.consumers.output(id)) return false;
    return this.consumers.of(id).some((consumer) => {
      const node = nodeOf(this.graph, consumer);
      if (node.op === "cast" || node.op === "reshape") return this.feedsElementwise(consumer);
      return isElementwise(node);
    });
  }

  /** Several readers: fine if one is the activation and the others come later and can read the saved value. */
  private saveAndActivate(list: Int32Array): boolean {
    const { end, position } = this.draft;
    const activations = [...list].filter((id) => {
      const { op } = nodeOf(this.graph, id);
      return op === "gelu" || op === "silu";
    });
    const [next] = activations;
    if (activations.length !== 1 || next === undefined) return false;
    const readable = list.every((consumer) => consumer > position);
    return readable && this.activate(next, nodeOf(this.graph, next), end);
  }

  /** Times the derivative of an activation at a value that was kept. */
  private activationGradient(next: Id, node: Node): boolean {
    const slope = this.other(node);
    const { op, inputs } = nodeOf(this.graph, slope);
    const fits = (op === "gelu_grad" || op === "silu_grad") && this.consumers.count(slope) === 1;
    const aux = inputs[0] ?? 0;
    if (!fits || this.draft.done >= ACTIVATION || !this.isF32(aux)) return false;
    if (!this.admits(aux, next)) return false;
    this.draft.activation = this.activationOf(nodeOf(this.graph, slope));
    this.draft.aux = aux;
    return this.advance(next, ACTIVATION);
  }

  private residual(next: Id, node: Node): boolean {
    const operand = this.other(node);
    if (this.draft.done >= RESIDUAL || operand === this.draft.end) return false;
    if (!this.isF32(operand) || !this.admits(operand, next)) return false;
    this.draft.residual = operand;
    return this.advance(next, RESIDUAL);
  }

  private isF32(id: Id): boolean {
    return nodeOf(this.graph, id).types[0]?.dtype === "f32";
  }
}
