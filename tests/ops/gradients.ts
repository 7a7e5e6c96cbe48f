/** @file Gradients of ops as numbers: by autodiff through the op or its decomposition, and by finite differences. */
import { grad } from "../../src/autodiff/grad.ts";
import type { Attrs, Graph, Id } from "../../src/ir/graph.ts";
import { Builder } from "../../src/ops/builder.ts";
import { at } from "../../src/ops/check.ts";
import type { AnyOp } from "../../src/ops/define.ts";
import { interpret } from "../../src/ops/interpreter.ts";
import { add } from "../../src/ops/prim/add.ts";
import { cast } from "../../src/ops/prim/cast.ts";
import { constant } from "../../src/ops/prim/const.ts";
import { get } from "../../src/ops/prim/get.ts";
import { input } from "../../src/ops/prim/input.ts";
import { mul } from "../../src/ops/prim/mul.ts";
import { reduce } from "../../src/ops/prim/reduce.ts";
import type { RefTensor } from "../../src/ops/reference.ts";
import { isFloat } from "../../src/util/dtype.ts";
import { normalSource } from "./values.ts";

/** An op on inputs, reduced to one number by a random projection of every float result. */
export interface Projection {
  readonly graph: Graph;
  readonly values: Map<string, RefTensor>;
  /** Positions of the float operands; gradient i is the output `grad<i>`. */
  readonly wrt: readonly number[];
}

export type Way = "vjp" | "decomposition";

/** With `smooth`, results that the op declares to be without gradient (stop_gradient) are left out. */
export function project(
  op: AnyOp,
  attrs: Attrs,
  operands: readonly RefTensor[],
  way: Way,
  smooth: boolean,
): Projection {
  const b = new Builder(op.name);
  const values = new Map(operands.map((value, i) => [`${i}`, value]));
  const ids = operands.map(({ shape, dtype }, i) =>
    input(b, { name: `${i}`, kind: "input", shape, dtype }),
  );
  const decomposed = op.decompose?.(b, ids, attrs);
  let results: readonly Id[] = decomposed ?? [];
  if (way === "vjp" || decomposed === undefined) {
    const id = b.emit(op, ids, attrs);
    results = b.node(id).types.map((_, i) => get(b, id, i));
  }
  let loss = constant(b, 0, [], "f32");
  results.forEach((result, i) => {
    const { shape, dtype } = b.type(result);
    const source = decomposed?.[i] ?? result;
    if (!isFloat(dtype) || (smooth && b.node(source).op === "stop_gradient")) return;
    const name = `projection ${i}`;
    const normal = normalSource(`${op.name} ${name}`);
    const data = Float64Array.from({ length: shape.reduce((x, y) => x * y, 1) }, normal);
    values.set(name, { shape, dtype: "f32", data });
    const weights = input(b, { name, kind: "input", shape, dtype: "f32" });
    const products = mul(b, cast(b, result, "f32"), weights);
    const dims = shape.map((_, d) => d);
    loss = add(b, loss, reduce(b, products, "sum", dims));
  });
  b.output("loss", loss);
  const wrt = operands.flatMap(({ dtype }, i) => (isFloat(dtype) ? [i] : []));
  const gradients = grad(
    b,
    loss,
    wrt.map((i) => at(ids, i)),
  );
  gradients.forEach((id, i) => {
    b.output(`grad${at(wrt, i)}`, id);
  });
  return { graph: b.finish(), values, wrt };
}

export const gradientsOf = ({ graph, values }: Projection): Map<string, RefTensor> =>
  interpret(graph, values);

const STEP = 1e-5;

/** d loss / d t of operand `index` moved by t along `direction`: four points, error of order step^4. */
export function slope(p: Projection, index: number, direction: Float64Array): number {
  const key = `${index}`;
  const start = p.values.get(key);
  if (start === undefined) throw new Error(`no operand ${index}`);
  const lossOnly: Graph = { ...p.graph, outputs: p.graph.outputs.filter((o) => o.name === "loss") };
  const used = forwardPart(lossOnly);
  const lossAt = (t: number): number => {
    const data = start.data.map((x, i) => x + t * at(direction, i));
    const moved = new Map(p.values).set(key, { ...start, data });
    return at(interpret(used, moved).get("loss")?.data ?? [], 0);
  };
  const near = lossAt(STEP) - lossAt(-STEP);
  const far = lossAt(2 * STEP) - lossAt(-2 * STEP);
  return (8 * near - far) / (12 * STEP);
}

/** Nodes up to the last output: the gradient comes after it. */
function forwardPart(graph: Graph): Graph {
  const end = Math.max(...graph.outputs.map(({ node }) => node));
  return { ...graph, nodes: graph.nodes.slice(0, end + 1) };
}

export const norm = (values: Float64Array): number => Math.hypot(...values);
