/** @file Every dot becomes a `matmul`: its operands are seen as [batch, M, K] and [batch, K, N], its result reshaped. */
import type { Graph, Id, Node } from "../ir/graph.ts";
import { PLAIN_MATMUL } from "../ops/lowered/matmul.ts";
import { type DotAttrs, dotDims } from "../ops/prim/dot.ts";
import { elementCount, type Shape, sameShape } from "../util/shapes.ts";
import { Edit } from "./edit.ts";

export function fuseMatmul(graph: Graph): Graph {
  const edit = new Edit(graph);
  graph.nodes.forEach((node, id) => {
    if (node.op === "dot") lowerDot(edit, id, node);
  });
  return edit.finish();
}

const pick = (shape: Shape, dims: readonly number[]): number[] =>
  dims.map((dim) => shape[dim] ?? 1);

const sizeOf = (shape: Shape, dims: readonly number[]): number => elementCount(pick(shape, dims));

/** Appends a transpose and a reshape of `id` where they change anything. */
function arranged(edit: Edit, id: Id, near: Node, perm: readonly number[], shape: Shape): Id {
  const { shape: from, dtype } = edit.type(id);
  let at = id;
  let current: Shape = from;
  if (perm.some((dim, i) => dim !== i)) {
    current = pick(from, perm);
    const types = [{ shape: current, dtype }];
    at = edit.add({ ...near, op: "transpose", inputs: [at], attrs: { perm }, types });
  }
  if (sameShape(current, shape)) return at;
  return edit.add({
    ...near,
    op: "reshape",
    inputs: [at],
    attrs: { shape },
    types: [{ shape, dtype }],
  });
}

function lowerDot(edit: Edit, id: Id, node: Node): void {
  const attrs = node.attrs as DotAttrs;
  const [x = 0, y = 0] = node.inputs;
  const xShape = edit.type(x).shape;
  const yShape = edit.type(y).shape;
  const left = dotDims(xShape.length, attrs, 0);
  const right = dotDims(yShape.length, attrs, 1);
  const batch = sizeOf(xShape, left.batch);
  const m = sizeOf(xShape, left.free);
  const k = sizeOf(xShape, left.contract);
  const n = sizeOf(yShape, right.free);
  const a = arranged(edit, x, node, [...left.batch, ...left.free, ...left.contract], [batch, m, k]);
  const b = arranged(
    edit,
    y,
    node,
    [...right.batch, ...right.contract, ...right.free],
    [batch, k, n],
  );
  const matmul = edit.add({
    ...node,
    op: "matmul",
    inputs: [a, b],
    attrs: { ...PLAIN_MATMUL, compute: edit.type(x).dtype === "bf16" ? "bf16" : "f32" },
    types: [{ shape: [batch, m, n], dtype: "f32" }],
  });
  const shape = node.types[0]?.shape ?? [];
  edit.set(id, { ...node, op: "reshape", inputs: [matmul], attrs: { shape } });
}
