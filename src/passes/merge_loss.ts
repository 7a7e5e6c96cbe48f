/**
 * @file The gradient of the fused loss yields the loss as well. Where a program has both, the forward node is dropped
 * and the logits are made once; possible when the cotangent does not depend on the loss.
 */
import type { Graph, Id } from "../ir/graph.ts";
import { Edit } from "./edit.ts";

export function mergeLoss(graph: Graph): Graph {
  const forward = new Map<string, Id>();
  const edit = new Edit(graph);
  let changed = false;
  graph.nodes.forEach((node, id) => {
    const key = `${node.inputs.slice(0, 3).join(",")}|${node.attrs.compute}`;
    if (node.op === "linear_cross_entropy") forward.set(key, id);
    if (node.op !== "linear_cross_entropy_grad") return;
    const loss = forward.get(key);
    const dloss = node.inputs[3] ?? 0;
    if (loss === undefined || dependsOn(graph, dloss, loss)) return;
    // Loss and lse are results 0 and 1 of both.
    edit.redirect(loss, id);
    changed = true;
  });
  return changed ? edit.finish() : graph;
}

function dependsOn(graph: Graph, from: Id, on: Id): boolean {
  const seen = new Set<Id>();
  const open = [from];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (id === on) return true;
    // Inputs stand before their users, so nothing below `on` can depend on it.
    if (id < on || seen.has(id)) continue;
    seen.add(id);
    open.push(...(graph.nodes[id]?.inputs ?? []));
  }
  return false;
}
