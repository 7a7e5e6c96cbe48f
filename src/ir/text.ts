/** @file The text dump of a graph, one node a line; golden tests and DEBUG_IR use it. */
import type { AttrValue, Graph, Node, TensorType } from "./graph.ts";

export const typeText = (type: TensorType): string => `${type.dtype}[${type.shape.join(",")}]`;

/** JSON, except that the numbers stay apart which JSON writes alike: -0, NaN and the infinities. */
export function attrText(value: AttrValue): string {
  if (typeof value === "number") return Object.is(value, -0) ? "-0" : `${value}`;
  if (typeof value === "string") return JSON.stringify(value);
  if (value === null || typeof value === "boolean") return `${value}`;
  if (isList(value)) return `[${value.map(attrText).join(",")}]`;
  return `{${Object.entries(value).map(([key, part]) => `"${key}":${attrText(part)}`)}}`;
}

/** `Array.isArray` does not narrow readonly arrays. */
const isList = (value: AttrValue): value is readonly AttrValue[] => Array.isArray(value);

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
