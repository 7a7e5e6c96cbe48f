/** @file The pieces of memory of a program: one per state, host value and temporary. */
import type { Graph, Id, Node } from "../ir/graph.ts";
import type { HostSlot } from "../program/program.ts";
import { assert, UserError } from "../util/errors.ts";
import { alignUp } from "../util/shapes.ts";
import { bytesOf, type Storage, type StorageId } from "./memory.ts";

/** Every buffer and every value starts at a multiple of a cache line. */
export const ALIGNMENT = 64;

export interface StateInfo {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: HostSlot["dtype"];
  readonly bytes: number;
}

interface StateEntry {
  readonly storage: StorageId;
  /** Its `input` node; null if the program only writes it. */
  readonly node: Id | null;
  readonly info: StateInfo;
}

export class Storages {
  readonly list: Storage[] = [];
  readonly states: StateInfo[] = [];
  readonly inputs: HostSlot[] = [];
  readonly outputs: HostSlot[] = [];
  inputBytes = 0;
  outputBytes = 0;
  private readonly stateIds = new Map<string, StateEntry>();
  private readonly replaced = new Set<string>();
  private readonly inputIds = new Map<Id, StorageId>();
  private readonly outputIds = new Map<string, StorageId>();

  constructor(graph: Graph) {
    graph.nodes.forEach((node, id) => {
      if (node.op === "input") this.addInput(node, id);
    });
    for (const output of graph.outputs) {
      const type = graph.nodes[output.node]?.types[0];
      assert(type !== undefined, `output ${output.name} has no type`);
      if (output.alias === undefined) this.addOutput(output.name, type.shape, type.dtype);
      else this.addAlias(output.name, output.alias, type.shape, type.dtype);
    }
  }

  at(id: StorageId): Storage {
    const storage = this.list[id];
    assert(storage !== undefined, `no storage ${id}`);
    return storage;
  }

  arena(node: Node, bytes: number, name = node.op): StorageId {
    return this.add("arena", name, node.scope, bytes, 0);
  }

  /** Storage of an `input` node. */
  ofInput(node: Id): StorageId {
    const storage = this.inputIds.get(node);
    assert(storage !== undefined, `node ${node} is no input`);
    return storage;
  }

  state(name: string): StorageId {
    const entry = this.stateIds.get(name);
    assert(entry !== undefined, `no state ${name}`);
    return entry.storage;
  }

  /** The input node of a state; null if the program only writes it. */
  stateNode(name: string): Id | null {
    return this.stateIds.get(name)?.node ?? null;
  }

  output(name: string): StorageId {
    const storage = this.outputIds.get(name);
    assert(storage !== undefined, `no output ${name}`);
    return storage;
  }

  private add(
    kind: Storage["kind"],
    name: string,
    scope: string,
    bytes: number,
    offset: number,
  ): StorageId {
    this.list.push({ kind, name, scope, bytes, offset, shares: null });
    return this.list.length - 1;
  }

  private addInput(node: Node, id: Id): void {
    const name = String(node.attrs.name);
    const { shape, dtype } = node.types[0] ?? { shape: [], dtype: "f32" };
    const bytes = bytesOf(shape, dtype);
    if (node.attrs.kind === "state") {
      this.inputIds.set(id, this.addState(name, shape, dtype, id));
      return;
    }
    const taken = this.inputs.some((slot) => slot.name === name);
    if (taken) throw new UserError(`[input] expected one input per name, got ${name} twice`);
    this.inputs.push({ name, offsetBytes: this.inputBytes, dtype, shape });
    this.inputIds.set(id, this.add("input", name, node.scope, bytes, this.inputBytes));
    this.inputBytes = alignUp(this.inputBytes + bytes, ALIGNMENT);
  }

  private addState(
    name: string,
    shape: readonly number[],
    dtype: StateInfo["dtype"],
    node: Id | null,
  ): StorageId {
    if (this.stateIds.has(name)) {
      throw new UserError(`[input] expected one input per state, got ${name} twice`);
    }
    const bytes = bytesOf(shape, dtype);
    const storage = this.add("state", name, "", bytes, 0);
    const info = { name, shape, dtype, bytes };
    this.stateIds.set(name, { storage, node, info });
    this.states.push(info);
    return storage;
  }

  private addAlias(
    output: string,
    name: string,
    shape: readonly number[],
    dtype: StateInfo["dtype"],
  ): void {
    if (this.replaced.has(name)) {
      throw new UserError(`[output] expected one output per state, got two for ${name}`);
    }
    this.replaced.add(name);
    const state = this.stateIds.get(name)?.info;
    if (state === undefined) {
      this.addState(name, shape, dtype, null);
    } else if (bytesOf(shape, dtype) !== state.bytes || state.dtype !== dtype) {
      const expected = `${state.dtype}[${state.shape.join(",")}]`;
      throw new UserError(
        `[output] expected ${output} as ${expected} like state ${name}, got ${dtype}[${shape.join(",")}]`,
      );
    }
  }

  private addOutput(name: string, shape: readonly number[], dtype: StateInfo["dtype"]): void {
    if (this.outputIds.has(name)) {
      throw new UserError(`[output] expected one output per name, got ${name} twice`);
    }
    const bytes = bytesOf(shape, dtype);
    this.outputs.push({ name, offsetBytes: this.outputBytes, dtype, shape });
    this.outputIds.set(name, this.add("output", name, "", bytes, this.outputBytes));
    this.outputBytes = alignUp(this.outputBytes + bytes, ALIGNMENT);
  }
}
