/**
 * @file Which elementwise nodes share a kernel. Consumers are looked at before producers: a node joins the group of a
 * consumer when that group's limits allow it and the rest of its consumers run later than the group.
 *
 * A group runs at the position of its seed, the member that it was opened with. Every input of a group is made before
 * its seed and every outside consumer of a member runs after it, so groups can never wait for each
 * other in a circle.
 */
import type { Graph, Id, Node } from "../ir/graph.ts";
import {
  MAX_CONSTANTS,
  MAX_INPUTS,
  MAX_INSTRUCTIONS,
  MAX_RESULTS,
} from "../ops/lowered/map_code.ts";
import { opOf } from "../ops/registry.ts";
import { dtypeBytes } from "../util/dtype.ts";
import { elementCount } from "../util/shapes.ts";
import type { Consumers } from "./consumers.ts";
import { mapNameOf } from "./map_builder.ts";

export interface Group {
  /** Where the group runs: the last member of those that consume one another, or the reduce of a `map_reduce`. */
  readonly seed: Id;
  readonly isReduce: boolean;
  /** Elementwise members, later ones first. */
  readonly members: Id[];
  /** Members that are read from outside. */
  readonly results: Id[];
  readonly inputs: Set<Id>;
  instructions: number;
  constants: number;
}

export const isElementwise = (node: Node): boolean => opOf(node.op).map !== undefined;

const isReduce = (node: Node): boolean => node.op === "reduce";

export class Grouping {
  readonly groups: Group[] = [];
  private readonly groupOf: (Group | undefined)[];
  private readonly inlined: Uint8Array;
  private readonly graph: Graph;
  private readonly consumers: Consumers;
  private readonly fuse: boolean;

  constructor(graph: Graph, consumers: Consumers, fuse: boolean) {
    this.graph = graph;
    this.consumers = consumers;
    this.fuse = fuse;
    this.groupOf = new Array<Group | undefined>(graph.nodes.length).fill(undefined);
    this.inlined = new Uint8Array(graph.nodes.length);
    for (let id = graph.nodes.length - 1; id >= 0; id--) this.visit(id, this.node(id));
  }

  private node(id: Id): Node {
    const node = this.graph.nodes[id];
    if (node === undefined) throw new Error(`internal: no node ${id}`);
    return node;
  }

  private visit(id: Id, node: Node): void {
    if (isReduce(node)) {
      const group = this.open(id, true);
      group.inputs.add(node.inputs[0] ?? 0);
      return;
    }
    if (!isElementwise(node)) return;
    if (this.fuse && (this.inline(id, node) || this.joinConsumer(id, node))) return;
    const group = this.open(id, false);
    group.results.push(id);
    this.append(group, id, node);
  }

  private open(seed: Id, reduces: boolean): Group {
    const group: Group = {
      seed,
      isReduce: reduces,
      members: [],
      results: [],
      inputs: new Set(),
      instructions: 0,
      constants: 0,
    };
    this.groups.push(group);
    this.groupOf[seed] = group;
    return group;
  }

  private append(group: Group, id: Id, node: Node): void {
    group.members.push(id);
    group.inputs.delete(id);
    group.instructions += this.cost(node);
    for (const input of node.inputs) {
      if (this.node(input).op === "const") group.constants++;
      else group.inputs.add(input);
    }
    if (this.inlined[id] === 0) this.groupOf[id] = group;
  }

  /** Instructions at most: its own, and a rounding where others read a bf16 value. */
  private cost(node: Node): number {
    const rounds = node.op === "cast" && node.types[0]?.dtype === "bf16" ? 1 : 0;
    return (mapNameOf(node, (id) => this.node(id)) === null ? 0 : 1) + rounds;
  }

  /** Position at which a node runs. */
  position(id: Id): number {
    return this.groupOf[id]?.seed ?? id;
  }

  /** Whether the members of `group` are the only ones that read node `id`; views of it count as foreign. */
  isSoleReader(id: Id, group: Group): boolean {
    const readers = this.consumers.of(id);
    return readers.every((reader) => this.groupOf[reader] === group) && !this.consumers.output(id);
  }

  /** The members of `second` join `first` and run where it runs; the caller has checked that they can. */
  merge(first: Group, second: Group): void {
    for (const id of second.members) if (this.inlined[id] === 0) this.groupOf[id] = first;
    first.members.push(...second.members.filter((id) => !first.members.includes(id)));
    first.results.push(...second.results);
    for (const id of second.inputs) first.inputs.add(id);
    first.instructions += second.instructions;
    first.constants += second.constants;
    this.groups.splice(this.groups.indexOf(second), 1);
  }

  private consumerGroups(id: Id): { groups: Group[]; outside: number[] } {
    const groups = new Set<Group>();
    const outside: number[] = [];
    for (const consumer of this.consumers.of(id)) {
      const group = this.groupOf[consumer];
      if (group !== undefined) groups.add(group);
      else outside.push(consumer);
    }
    return { groups: [...groups].sort((a, b) => a.seed - b.seed), outside };
  }

  /**
   * A cast that does not shrink its operand is free at the load, so every consumer does it by itself; the wider copy
   * is never stored.
   */
  private inline(id: Id, node: Node): boolean {
    const source = this.node(node.inputs[0] ?? 0);
    if (node.op !== "cast" || isElementwise(source) || this.consumers.output(id)) return false;
    const from = source.types[0]?.dtype ?? "f32";
    const to = node.types[0]?.dtype ?? "f32";
    if (dtypeBytes(from) > dtypeBytes(to)) return false;
    const { groups, outside } = this.consumerGroups(id);
    if (outside.length > 0 || !groups.every((group) => this.fits(group, id, node, 0))) return false;
    this.inlined[id] = 1;
    for (const group of groups) this.append(group, id, node);
    return true;
  }

  private joinConsumer(id: Id, node: Node): boolean {
    const { groups, outside } = this.consumerGroups(id);
    const first = groups[0];
    if (first === undefined) return false;
    const alone = groups.length === 1 && outside.length === 0 && !this.consumers.output(id);
    if (first.isReduce && !alone) return this.joinAs(groups.slice(1), outside, id, node);
    if (!alone) return this.joinAs(groups, outside, id, node);
    if (!this.fits(first, id, node, 0) || !this.keepsLiveness(first, node)) return false;
    this.append(first, id, node);
    return true;
  }

  /** Joins the earliest group as a result that the other consumers read. */
  private joinAs(groups: readonly Group[], outside: readonly Id[], id: Id, node: Node): boolean {
    const group = groups.find((candidate) => !candidate.isReduce);
    if (group === undefined) return false;
    const others = outside.every((consumer) => this.position(consumer) > group.seed);
    const earlier = this.consumers.of(id).some((consumer) => this.position(consumer) < group.seed);
    if (!others || earlier || !this.fits(group, id, node, 1)) return false;
    if (!this.keepsLiveness(group, node)) return false;
    this.append(group, id, node);
    group.results.push(id);
    return true;
  }

  private fits(group: Group, _id: Id, node: Node, newResults: number): boolean {
    if (group.results.length + newResults > MAX_RESULTS) return false;
    if (group.instructions + this.cost(node) > MAX_INSTRUCTIONS) return false;
    let inputs = group.inputs.size - 1;
    let constants = group.constants;
    for (const input of new Set(node.inputs)) {
      if (this.node(input).op === "const") constants++;
      else if (!group.inputs.has(input)) inputs++;
    }
    return inputs <= MAX_INPUTS && constants <= MAX_CONSTANTS;
  }

  /**
   * Running a node later keeps its operands alive instead of its result. Within a phase that hardly matters; from the
   * forward into the backward it does, so there the operands must not be larger.
   */
  private keepsLiveness(group: Group, node: Node): boolean {
    if (this.node(group.seed).phase === node.phase) return true;
    let bytes = 0;
    for (const input of new Set(node.inputs)) bytes += this.storedBytes(input);
    return (
      bytes <= elementCount(node.types[0]?.shape ?? []) * dtypeBytes(node.types[0]?.dtype ?? "f32")
    );
  }

  private storedBytes(id: Id): number {
    const node = this.node(id);
    if (node.op === "const" || node.op === "input") return 0;
    if (node.op === "broadcast") return this.storedBytes(node.inputs[0] ?? 0);
    const type = node.types[0];
    return type === undefined ? 0 : elementCount(type.shape) * dtypeBytes(type.dtype);
  }
}
