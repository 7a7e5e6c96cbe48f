/**
 * @file Sums into kernels that can start from a base: the embedding gradient, scatter_add, the weight gradient of the
 * fused loss and the norms' input gradient. A sum of sums into state is re-associated so that each term is added to
 * the state by itself and no temporary of the state's size is needed.
 */
import type { Graph, Id, Node } from "../ir/graph.ts";
import { Consumers } from "./consumers.ts";
import { Edit } from "./edit.ts";

export function foldSums(graph: Graph): Graph {
  const folder = new SumFolder(graph);
  return folder.run();
}

/** Result `dw` of linear_cross_entropy_grad, and its operands without a base. */
const LOSS_DW = 3;
const LOSS_OPERANDS = 4;

/** Operand of the norms' gradients that is added to dx. */
const NORM_BASE: Readonly<Record<string, number>> = { layer_norm_grad: 5, rms_norm_grad: 4 };

/** Where a sum stands and whose scope it has. */
interface Site {
  readonly id: Id;
  readonly node: Node;
}

class SumFolder {
  private readonly graph: Graph;
  private readonly edit: Edit;
  private readonly consumers: Consumers;
  /** Positions of sums that this pass made. */
  private readonly positions = new Map<Id, number>();

  constructor(graph: Graph) {
    this.graph = graph;
    this.edit = new Edit(graph);
    this.consumers = new Consumers(graph);
  }

  run(): Graph {
    this.graph.nodes.forEach((node, id) => {
      if (node.op !== "add" || node.types[0]?.dtype !== "f32") return;
      const [x = 0, y = 0] = node.inputs;
      const site = { id, node };
      const folded = this.fold(x, y, site) ?? this.fold(y, x, site);
      if (folded !== null) this.edit.redirect(id, folded);
    });
    return this.edit.finish();
  }

  /** base + term as one node, where the term can take a base; null if not. */
  private fold(base: Id, term: Id, site: Site): Id | null {
    const id = this.edit.resolve(term);
    const node = this.edit.node(id);
    if (!this.isOnlyUse(term)) return null;
    if (node.op === "get") return this.foldLoss(base, id, node);
    if (node.op === "embedding_grad") return this.foldEmbedding(base, node, site);
    if (node.op === "scatter_add") return this.foldScatter(base, node, site);
    const at = NORM_BASE[node.op];
    if (at !== undefined) return this.foldNorm(base, id, node, at);
    return node.op === "add" && this.isState(base) ? this.reassociate(base, node, site) : null;
  }

  /** Whether nobody but the sum reads the term. Nodes that this pass made have one user. */
  private isOnlyUse(term: Id): boolean {
    const node = this.graph.nodes[term];
    if (node === undefined) return true;
    if (node.types.length === 1) return this.consumers.count(term) === 1;
    if (this.consumers.output(term)) return false;
    let direct = 0;
    for (const consumer of this.consumers.of(term)) {
      if (this.graph.nodes[consumer]?.op !== "get") direct++;
    }
    return direct === 1;
  }

  private isState(id: Id): boolean {
    let at = this.edit.resolve(id);
    for (let node = this.edit.node(at); node.op !== "input"; node = this.edit.node(at)) {
      if (node.op !== "reshape") return false;
      at = this.edit.resolve(node.inputs[0] ?? 0);
    }
    return this.edit.node(at).attrs.kind === "state";
  }

  /** Whether `id` can be had before `other` runs: what stands earlier cannot depend on it. */
  private comesBefore(id: Id, other: Id): boolean {
    return this.isState(id) || this.edit.resolve(id) < other;
  }

  private foldEmbedding(base: Id, node: Node, site: Site): Id {
    const [ids = 0, dy = 0, old] = node.inputs;
    const next = old === undefined ? base : this.sum(base, old, site);
    return this.edit.addAt(site.id, { ...node, inputs: [ids, dy, next] });
  }

  private foldScatter(base: Id, node: Node, site: Site): Id {
    const [old = 0, ids = 0, updates = 0] = node.inputs;
    const start = this.edit.node(this.edit.resolve(old));
    const empty = start.op === "const" && start.attrs.value === 0;
    const next = empty ? base : this.sum(base, old, site);
    return this.edit.addAt(site.id, { ...node, inputs: [next, ids, updates] });
  }

  private foldNorm(base: Id, id: Id, node: Node, at: number): Id | null {
    if (node.inputs.length > at || !this.comesBefore(base, id)) return null;
    this.edit.set(id, { ...node, inputs: [...node.inputs, base] });
    return id;
  }

  /** dw of the fused loss: the base must be there before the loss runs. */
  private foldLoss(base: Id, id: Id, get: Node): Id | null {
    if (!this.isLossGradient(get)) return null;
    const source = this.edit.resolve(get.inputs[0] ?? 0);
    const node = this.edit.node(source);
    if (node.inputs.length !== LOSS_OPERANDS || !this.comesBefore(base, source)) return null;
    this.edit.set(source, { ...node, inputs: [...node.inputs, base] });
    return id;
  }

  private isLossGradient(node: Node): boolean {
    if (node.op !== "get" || node.attrs.index !== LOSS_DW) return false;
    const source = this.edit.node(this.edit.resolve(node.inputs[0] ?? 0));
    return source.op === "linear_cross_entropy_grad";
  }

  /** state + (a + b) = (state + a) + b; a is the term that must come early. */
  private reassociate(base: Id, node: Node, site: Site): Id {
    const [x = 0, y = 0] = node.inputs;
    const early = this.isLossGradient(this.edit.node(this.edit.resolve(y)));
    const [a, b] = early ? [y, x] : [x, y];
    return this.sum(this.sum(base, a, site), b, site);
  }

  private sum(base: Id, term: Id, site: Site): Id {
    const folded = this.fold(base, term, site);
    if (folded !== null) return folded;
    const types = [this.edit.type(this.edit.resolve(term))];
    const node = { ...site.node, op: "add", inputs: [base, term], attrs: {}, types };
    const position = Math.max(this.positionOf(base), this.positionOf(term)) + 1;
    if (position > site.id) return this.edit.add(node);
    const id = this.edit.addAt(position, node);
    this.positions.set(id, position);
    return id;
  }

  /** Where a value is made; state is there from the start. */
  private positionOf(id: Id): number {
    if (this.isState(id)) return -1;
    const resolved = this.edit.resolve(id);
    return this.positions.get(resolved) ?? resolved;
  }
}
