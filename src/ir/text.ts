/** @file The text dump of a graph, one node a line; golden tests and DEBUG_IR use it. */
import type { AttrValue, Graph, Node, TensorType } from "./graph.ts";

export const typeText = (type: TensorType): string => `${type.dtype}[${type.shape.join(",")}]`;

/** JSON with the numbers spelled out that JSON writes as others: -0, NaN and the infinities. */
export const attrText = (value: AttrValue): string =>
  JSON.stringify(value, (_, part) => {
    if (typeof part !== "number" || (Number.isFinite(part) && !Object.is(part, -0))) return part;
    return Object.is(part, -0) ? "-0" : `${part}`;
  });

/** `%7 = dot(%3, %5) {contract: [[1,0]]} : f32[8,16]  # blocks.0.mlp.up` */
export function nodeText(node: Node, id: number): string {
  const inputs = node.inputs.map((i) => `%${i}`).join(", ");
  const attrs = Object.entries(node.attrs)
    .map(([key, value]) => `${key}: ${attrText(value)}`)
    .join(", ");
  const types = node.types.map(typeText).join(", ");
  const phase = node.phase === "forward" ? "" : ` @${node.phase}`;
  const scope = node.scope === "" ? "" : `  # ${node.scope}`;
  const braces = attrs === "" ? "" : ` {${attrs}}`;
  return `%${id} = ${node.op}(${inputs})${braces} : ${types}${phase}${scope}`;
}

export function graphText(graph: Graph): string {
  const lines = [`graph ${graph.name}`];
  graph.nodes.forEach((node, id) => {
    lines.push(`  ${nodeText(node, id)}`);
  });
  for (const output of graph.outputs) {
    const alias = output.alias === undefined ? "" : ` -> state ${output.alias}`;
    lines.push(`  return ${output.name} = %${output.node}${alias}`);
  }
  return `${lines.join("\n")}\n`;
}
