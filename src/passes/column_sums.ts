/**
 * @file The gradient of a bias is the sum of what the product for the weight's gradient reads as B: for a GPU it becomes a second
 * result of that product, which reads B anyway. Where the sum's operand was cast for products in bf16, they are
 * given the cast's values: a bias's gradient is then as exact as its weight's.
 */
import type { Graph, Id, Node } from "../ir/graph.ts";
import type { MapReduceAttrs } from "../ops/lowered/map_reduce.ts";
import type { MatmulAttrs } from "../ops/lowered/matmul.ts";
import { elementCount } from "../util/shapes.ts";
import { reshaped } from "./dot_operands.ts";
import { Edit } from "./edit.ts";
import { nodeOf } from "./graph_queries.ts";
import { isCastAttrs, isGradientSum } from "./narrow_rules.ts";
import { resultKey } from "./reads.ts";

export function columnSums(graph: Graph): Graph {
  const products = productsByOperand(graph);
  if (products.size === 0) return graph;
  const edit = new Edit(graph);
  const taken = new Set<Id>();
  graph.nodes.forEach((node, id) => {
    const size = sumOfColumns(graph, node, id);
    if (size === null) return;
    const key = rootKey(graph, node.inputs[0] ?? 0);
    const product = key === null ? undefined : products.get(key);
    if (product === undefined || taken.has(product) || !reads(graph, product, size)) return;
    giveSums(edit, product, id);
    taken.add(product);
  });
  return taken.size > 0 ? edit.finish() : graph;
}

/** Rows and columns that a sum of columns has. */
interface Size {
  readonly rows: number;
  readonly columns: number;
}

/** Of a plain sum over all dims but the last ones that is the gradient of something; else null. */
function sumOfColumns(graph: Graph, node: Node, id: Id): Size | null {
  if (node.op !== "map_reduce" || !isGradientSum(graph, { id, operand: 0 })) return null;
  const { shape, dims, dtype } = node.attrs as MapReduceAttrs;
  if (dtype !== "f32" || dims.some((dim, i) => dim !== i)) return null;
  return {
    rows: elementCount(shape.slice(0, dims.length)),
    columns: elementCount(shape.slice(dims.length)),
  };
}

/** The value that `id` shows in its own order; null where it is turned, cut or repeated. */
function rootKey(graph: Graph, id: Id): number | null {
  let at = id;
  for (let node = nodeOf(graph, at); node.op === "reshape"; node = nodeOf(graph, at))
    at = node.inputs[0] ?? 0;
  const { op, inputs, attrs } = nodeOf(graph, at);
  if (op === "get") return resultKey(inputs[0] ?? 0, Number(attrs.index));
  const turned = ["transpose", "broadcast", "slice", "bitcast"].includes(op);
  return turned ? null : resultKey(at, 0);
}

/** Products in bf16 that may sum the columns of B, by the value that is B and the one that it is a cast of. */
function productsByOperand(graph: Graph): Map<number, Id> {
  const products = new Map<number, Id>();
  graph.nodes.forEach((node, id) => {
    if (node.op !== "matmul" || !maySum(graph, node)) return;
    const b = node.inputs[1] ?? 0;
    const key = rootKey(graph, b);
    if (key === null) return;
    products.set(key, id);
    const source = castSource(graph, b);
    if (source !== null) products.set(source, id);
  });
  return products;
}

function maySum(graph: Graph, { attrs, inputs }: Node): boolean {
  const { compute, bias, activation, saveAux, out } = attrs as MatmulAttrs;
  const b = nodeOf(graph, inputs[1] ?? 0).types[0];
  const plain = !bias && activation === "none" && !saveAux;
  return plain && compute === "bf16" && out === "f32" && b?.dtype === "bf16" && b.shape[0] === 1;
}

/** What `id` is a cast of. */
function castSource(graph: Graph, id: Id): number | null {
  let at = id;
  for (let node = nodeOf(graph, at); node.op === "reshape"; node = nodeOf(graph, at))
    at = node.inputs[0] ?? 0;
  const { op, attrs, inputs } = nodeOf(graph, at);
  return op === "map" && isCastAttrs(attrs) ? rootKey(graph, inputs[0] ?? 0) : null;
}

function reads(graph: Graph, product: Id, { rows, columns }: Size): boolean {
  const b = nodeOf(graph, nodeOf(graph, product).inputs[1] ?? 0).types[0]?.shape ?? [];
  return b[1] === rows && b[2] === columns;
}

/** The product runs where it stood, or where the sums are needed. */
function giveSums(edit: Edit, product: Id, sum: Id): void {
  const node = edit.node(product);
  const columns = edit.type(node.inputs[1] ?? 0).shape[2] ?? 0;
  const type = { shape: [columns], dtype: "f32" } as const;
  const types = [...node.types, type];
  edit.set(product, { ...node, attrs: { ...node.attrs, columnSums: true }, types });
  const { scope, phase } = edit.node(sum);
  const place = { ...node, scope, phase };
  const get = edit.add({
    ...place,
    ...{ op: "get", inputs: [product], attrs: { index: types.length - 1, ...type }, types: [type] },
  });
  edit.redirect(sum, reshaped(edit, get, place, edit.type(sum).shape));
}
