/**
 * @file Checks a graph between passes: order, types, aliases, and which ops may still be there. A failure is a bug of
 * the pass before, so the message shows the node with its scope and its neighbours.
 */
import type { Graph, Id, Node, Output, TensorType } from "../ir/graph.ts";
import { nodeText, typeText } from "../ir/text.ts";
import { at } from "../ops/check.ts";
import type { TargetKind } from "../ops/kernel.ts";
import type { GetAttrs } from "../ops/prim/get.ts";
import type { InputOpAttrs } from "../ops/prim/input.ts";
import { ops } from "../ops/registry.ts";
import { sameShape } from "../util/shapes.ts";
import { PLANNED_OPS } from "./view_ops.ts";

/** After tracing, after autodiff, after the choice of kernels, while products are lowered, after fusion. */
export type Stage = "traced" | "differentiated" | "chosen" | "lowering" | "fused";

export function verify(graph: Graph, stage: Stage, kind: TargetKind = "cpu"): void {
  graph.nodes.forEach((node, id) => {
    const problem = nodeProblem(graph, node, id, [stage, kind]);
    if (problem !== null) throw new Error(report(graph, id, stage, problem));
  });
  const names = new Set<string>();
  for (const output of graph.outputs) {
    const problem = names.has(output.name)
      ? "two outputs have this name"
      : aliasProblem(graph, output);
    names.add(output.name);
    if (problem !== null) {
      throw new Error(report(graph, output.node, stage, `output ${output.name}: ${problem}`));
    }
  }
}

/** A stage of compiling for a kind of target. */
type At = readonly [stage: Stage, kind: TargetKind];

function nodeProblem(graph: Graph, node: Node, id: Id, at: At): string | null {
  const unordered = node.inputs.find((from) => !(Number.isInteger(from) && from >= 0 && from < id));
  if (unordered !== undefined) return `input %${unordered} does not come before it`;
  const illegal = illegality(graph, node, at);
  if (illegal !== null) return illegal;
  return node.op === "get" ? getProblem(graph, node) : typeProblem(graph, node);
}

const inputTypes = (graph: Graph, node: Node): TensorType[] =>
  node.inputs.map((from) => at(at(graph.nodes, from).types, 0));

/** Why the op may not be in a graph of this stage, or null. */
function illegality(graph: Graph, node: Node, [stage, kind]: At): string | null {
  const op = ops.get(node.op);
  if (op === undefined) return "no op has this name";
  const kernel = op.kernels.cpu;
  if (op.tier === "lowered") {
    const allowed = stage === "lowering" || stage === "fused";
    return allowed ? null : `a lowered op in a ${stage} graph`;
  }
  if (stage === "traced" || stage === "differentiated") return null;
  const supported = kernel?.supports?.(node, inputTypes(graph, node), kind) ?? kernel !== undefined;
  if (stage === "chosen" || stage === "lowering") {
    const stays = op.tier === "prim" || op.map !== undefined || supported;
    return stays ? null : "no kernel supports it and it was not decomposed";
  }
  return supported || PLANNED_OPS.has(op.name) ? null : "neither a view nor an op with a kernel";
}

function typeProblem(graph: Graph, node: Node): string | null {
  const op = ops.get(node.op);
  if (op === undefined) return "no op has this name";
  let inferred: readonly TensorType[];
  try {
    inferred = op.infer(inputTypes(graph, node), node.attrs);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  const same =
    inferred.length === node.types.length &&
    inferred.every((type, i) => sameType(type, node.types[i]));
  return same ? null : `infer gives ${inferred.map(typeText).join(", ")}`;
}

const sameType = (a: TensorType, b: TensorType | undefined): boolean =>
  b !== undefined && a.dtype === b.dtype && sameShape(a.shape, b.shape);

function getProblem(graph: Graph, node: Node): string | null {
  const { index } = node.attrs as GetAttrs;
  const source = at(graph.nodes, at(node.inputs, 0));
  const type = source.types[index];
  if (type === undefined) return `${source.op} has ${source.types.length} results`;
  return sameType(type, node.types[0]) ? null : `result ${index} is ${typeText(type)}`;
}

function aliasProblem(graph: Graph, { node, alias }: Output): string | null {
  const value = graph.nodes[node];
  if (value === undefined) return "its node does not exist";
  if (alias === undefined) return null;
  const input = graph.nodes.find(
    ({ op, attrs }) => op === "input" && (attrs as InputOpAttrs).name === alias,
  );
  const type = input?.types[0];
  // A state that is only written has no input.
  if (input === undefined || type === undefined) return null;
  if ((input.attrs as InputOpAttrs).kind !== "state") return `${alias} is no state`;
  return sameType(type, value.types[0]) ? null : `state ${alias} is ${typeText(type)}`;
}

/** The node, what it reads and who reads it. */
function report(graph: Graph, id: Id, stage: Stage, problem: string): string {
  const line = (other: Id): string => {
    const node = graph.nodes[other];
    return node === undefined ? `%${other} (missing)` : nodeText(node, other);
  };
  const readers = graph.nodes.keys().filter((i) => graph.nodes[i]?.inputs.includes(id) ?? false);
  return [
    `internal: graph ${graph.name} (${stage}): ${problem}`,
    `  node    ${line(id)}`,
    ...(graph.nodes[id]?.inputs ?? []).map((from) => `  reads   ${line(from)}`),
    ...Array.from(readers.take(4), (to) => `  read by ${line(to)}`),
  ].join("\n");
}
