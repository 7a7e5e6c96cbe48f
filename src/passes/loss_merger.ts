/**
 * @file The gradient of the fused loss yields the loss as well. Where a program has both, the forward node is dropped
 * and the logits are made once; possible when the cotangent does not depend on the loss.
 */
import type { Graph, Id } from "../ir/graph.ts";
import type { Edit } from "./edit.ts";

export class LossMerger {
  private readonly forward = new Map<string, Id>();
  private readonly graph: Graph;
  private readonly edit: Edit;

  constructor(graph: Graph, edit: Edit) {
    this.graph = graph;
    this.edit = edit;
  }

  /** To be called for all nodes in order. */
  visit(id: Id): void {
    const { op, inputs, attrs } = this.edit.node(id);
    if (!op.startsWith("linear_cross_entropy")) return;
    const key = `${inputs.slice(0, 3).join(",")}|${attrs.compute}`;
    if (op === "linear_cross_entropy") {
      this.forward.set(key, id);
      return;
    }
    const loss = this.forward.get(key);
    if (loss === undefined || this.dependsOn(inputs[3] ?? 0, loss)) return;
    // Loss and lse are results 0 and 1 of both.
    this.edit.redirect(loss, id);
    this.forward.delete(key);
  }

  private dependsOn(from: Id, on: Id): boolean {
    const seen = new Set<Id>();
    const open = [from];
    for (let id = open.pop(); id !== undefined; id = open.pop()) {
      if (id === on) return true;
      // Inputs stand before their users, so nothing below `on` can depend on it.
      if (id < on || seen.has(id)) continue;
      seen.add(id);
      open.push(...(this.graph.nodes[id]?.inputs ?? []));
    }
    return false;
  }
}
