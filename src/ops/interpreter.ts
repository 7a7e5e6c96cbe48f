/**
 * @file The slow reference executor: any graph in f64, without bf16 rounding. Primitive and lowered ops run their
 * `reference`, fused ops their decomposition; what a kernel computes is measured against this.
 */
import type { Attrs, Graph, Id, Node, TensorType } from "../ir/graph.ts";
import { typeText } from "../ir/text.ts";
import { assert, UserError } from "../util/errors.ts";
import { sameShape } from "../util/shapes.ts";
import { Builder } from "./builder.ts";
import { at } from "./check.ts";
import type { AnyOp } from "./define.ts";
import type { GetAttrs } from "./prim/get.ts";
import { type InputOpAttrs, input } from "./prim/input.ts";
import type { RefTensor } from "./reference.ts";
import { opOf } from "./registry.ts";

/** Values of the outputs by name. State outputs are returned like the others; inputs are never written. */
export function interpret(
  graph: Graph,
  inputs: ReadonlyMap<string, RefTensor>,
): Map<string, RefTensor> {
  const results: (readonly RefTensor[])[] = [];
  const lastUse = lastUses(graph);
  graph.nodes.forEach((node, id) => {
    results[id] = runNode(node, results, inputs);
    for (const used of node.inputs) {
      if (lastUse[used] === id) results[used] = [];
    }
  });
  return new Map(graph.outputs.map(({ name, node }) => [name, at(at(results, node), 0)]));
}

/** Per node the last node that reads it; outputs are kept to the end. */
function lastUses(graph: Graph): number[] {
  const last = graph.nodes.map(() => -1);
  graph.nodes.forEach((node, id) => {
    for (const used of node.inputs) last[used] = id;
  });
  for (const { node } of graph.outputs) last[node] = graph.nodes.length;
  return last;
}

function runNode(
  node: Node,
  results: readonly (readonly RefTensor[])[],
  inputs: ReadonlyMap<string, RefTensor>,
): readonly RefTensor[] {
  if (node.op === "input") return [inputValue(node, inputs)];
  if (node.op === "get") {
    const { index } = node.attrs as GetAttrs;
    return [at(at(results, at(node.inputs, 0)), index)];
  }
  const operands = node.inputs.map((id) => at(at(results, id), 0));
  const values = runOp(opOf(node.op), operands, node.attrs, node.types);
  node.types.forEach((type, i) => {
    const { shape } = at(values, i);
    assert(
      sameShape(shape, type.shape),
      `result ${i} of ${node.op} is [${shape.join(",")}], its type ${typeText(type)}`,
    );
  });
  return values;
}

function inputValue(node: Node, inputs: ReadonlyMap<string, RefTensor>): RefTensor {
  const { name } = node.attrs as InputOpAttrs;
  const type = at(node.types, 0);
  const value = inputs.get(name);
  if (value === undefined || !sameShape(value.shape, type.shape)) {
    const got = value === undefined ? "nothing" : typeText(value);
    throw new UserError(
      `[interpret] expected a value of ${typeText(type)} for ${name}, got ${got}`,
    );
  }
  return value;
}

/** Runs one op on values. */
export function runOp(
  op: AnyOp,
  operands: readonly RefTensor[],
  attrs: Attrs,
  types: readonly TensorType[],
): readonly RefTensor[] {
  if (op.tier !== "fused") {
    assert(op.reference !== undefined, `${op.name} has no reference`);
    return op.reference(operands, attrs, types);
  }
  const { graph, results } = decomposition(op, operands, attrs);
  const inputs = new Map(operands.map((value, i) => [`${i}`, value]));
  const values = interpret(graph, inputs);
  return results.map((_, i) => {
    const value = values.get(`${i}`);
    assert(value !== undefined, `${op.name} has no result ${i}`);
    return value;
  });
}

/** A graph of the decomposition alone: inputs and outputs are named by their position. */
export function decomposition(
  op: AnyOp,
  operands: readonly TensorType[],
  attrs: Attrs,
): { readonly graph: Graph; readonly results: readonly Id[] } {
  assert(op.decompose !== undefined, `${op.name} has no decomposition`);
  const b = new Builder(op.name);
  const ids = operands.map(({ shape, dtype }, i) =>
    input(b, { name: `${i}`, kind: "input", shape, dtype }),
  );
  const results = op.decompose(b, ids, attrs);
  results.forEach((id, i) => {
    b.output(`${i}`, id);
  });
  return { graph: b.finish(), results };
}
