/** @file A dot as the matrix product that `matmul` computes: which dims are rows, columns and depth. */
import type { Id, Node } from "../ir/graph.ts";
import { type DotAttrs, dotDims } from "../ops/prim/dot.ts";
import { elementCount, type Shape, sameShape } from "../util/shapes.ts";
import type { Edit } from "./edit.ts";

/** Sizes of the product, and operands appended to the graph as views [batch, M, K] and [batch, K, N]. */
export interface Product {
  readonly a: Id;
  readonly b: Id;
  readonly batch: number;
  readonly m: number;
  readonly n: number;
}

const pick = (shape: Shape, dims: readonly number[]): number[] =>
  dims.map((dim) => shape[dim] ?? 1);

const sizeOf = (shape: Shape, dims: readonly number[]): number => elementCount(pick(shape, dims));

/** `id` under another shape of the same elements; no node where it has that shape. */
export function reshaped(edit: Edit, id: Id, near: Node, shape: Shape): Id {
  let source = id;
  for (let node = edit.node(source); node.op === "reshape"; node = edit.node(source)) {
    source = node.inputs[0] ?? 0;
  }
  const { shape: current, dtype } = edit.type(source);
  if (sameShape(current, shape)) return source;
  const types = [{ shape, dtype }];
  return edit.add({ ...near, op: "reshape", inputs: [source], attrs: { shape }, types });
}

function permuted(edit: Edit, id: Id, near: Node, perm: readonly number[]): Id {
  if (perm.every((dim, i) => dim === i)) return id;
  const { shape, dtype } = edit.type(id);
  const types = [{ shape: pick(shape, perm), dtype }];
  return edit.add({ ...near, op: "transpose", inputs: [id], attrs: { perm }, types });
}

export function productOf(edit: Edit, dot: Node): Product {
  const attrs = dot.attrs as DotAttrs;
  const [x = 0, y = 0] = dot.inputs;
  const xShape = edit.type(x).shape;
  const yShape = edit.type(y).shape;
  const left = dotDims(xShape.length, attrs, 0);
  const right = dotDims(yShape.length, attrs, 1);
  const batch = sizeOf(xShape, left.batch);
  const m = sizeOf(xShape, left.free);
  const k = sizeOf(xShape, left.contract);
  const n = sizeOf(yShape, right.free);
  const rows = permuted(edit, x, dot, [...left.batch, ...left.free, ...left.contract]);
  const columns = permuted(edit, y, dot, [...right.batch, ...right.contract, ...right.free]);
  return {
    a: reshaped(edit, rows, dot, [batch, m, k]),
    b: reshaped(edit, columns, dot, [batch, k, n]),
    batch,
    m,
    n,
  };
}
