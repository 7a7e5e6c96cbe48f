/**
 * @file Builds graphs: infers types, merges equal nodes (hash-consing, phase in the key) and keeps the scope.
 * `emit` takes the op's definition, not its name, so op files need no registry.
 */
import type { Attrs, Graph, Id, Node, Output, Phase, TensorType } from "../ir/graph.ts";
import { attrText } from "../ir/text.ts";
import { assert } from "../util/errors.ts";
import type { OpDef } from "./define.ts";

export class Builder {
  readonly nodes: Node[] = [];
  readonly outputs: Output[] = [];
  readonly name: string;
  phase: Phase = "forward";
  private scopes: string[] = [];
  private readonly seen = new Map<string, Id>();

  constructor(name: string) {
    this.name = name;
  }

  get scope(): string {
    return this.scopes.join(".");
  }

  /** Runs `body` with `name` appended to the scope path. */
  within<T>(name: string, body: () => T): T {
    this.scopes.push(name);
    try {
      return body();
    } finally {
      this.scopes.pop();
    }
  }

  /** Runs `body` with the scope and phase of `node`, for passes that rebuild a graph. */
  as<T>(node: { scope: string; phase: Phase }, body: () => T): T {
    const scopes = this.scopes;
    const phase = this.phase;
    this.scopes = node.scope === "" ? [] : [node.scope];
    this.phase = node.phase;
    try {
      return body();
    } finally {
      this.scopes = scopes;
      this.phase = phase;
    }
  }

  /** Adds a node (or finds the equal one). Throws the op's UserError when the inputs do not fit. */
  emit<A extends Attrs>(op: OpDef<A>, inputs: readonly Id[], attrs: A): Id {
    const types = inputs.map((id) => this.type(id));
    const key = `${op.name}|${inputs.join(",")}|${attrText(attrs)}|${this.phase}`;
    const known = this.seen.get(key);
    if (known !== undefined) return known;
    const id = this.nodes.length;
    this.nodes.push({
      op: op.name,
      inputs,
      attrs,
      types: op.infer(types, attrs),
      scope: this.scope,
      phase: this.phase,
    });
    this.seen.set(key, id);
    return id;
  }

  node(id: Id): Node {
    const node = this.nodes[id];
    assert(node !== undefined, `graph ${this.name} has no node ${id}`);
    return node;
  }

  type(id: Id): TensorType {
    const type = this.node(id).types[0];
    assert(type !== undefined, `node ${id} has no result`);
    return type;
  }

  output(name: string, node: Id, alias?: string): void {
    this.outputs.push(alias === undefined ? { name, node } : { name, node, alias });
  }

  finish(): Graph {
    return { name: this.name, nodes: this.nodes, outputs: this.outputs };
  }
}
