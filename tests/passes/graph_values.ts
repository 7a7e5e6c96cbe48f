/** @file Seeded values for all inputs of a graph, and how far two values are apart. */
import type { Graph } from "../../src/ir/graph.ts";
import { at } from "../../src/ops/check.ts";
import type { SampleInput } from "../../src/ops/define.ts";
import type { InputOpAttrs } from "../../src/ops/prim/input.ts";
import type { RefTensor } from "../../src/ops/reference.ts";
import { sampleTensor } from "../ops/values.ts";

/** Below every vocabulary and length of the small models. */
const SMALL_ID = 7;

/** Second moments and learning rates are not negative; norms scale by about one; weights leave softmax unsaturated. */
function fillOf(name: string): SampleInput["fill"] {
  if (/^adam_v|rate$|step$|norm.weight$/.test(name)) return "positive";
  return name.startsWith("param/") ? "small" : undefined;
}

export function inputValues(graph: Graph): Map<string, RefTensor> {
  const values = new Map<string, RefTensor>();
  for (const node of graph.nodes) {
    if (node.op !== "input") continue;
    const { name, shape, dtype } = node.attrs as InputOpAttrs;
    if (name === "starts") {
      values.set(name, sampleTensor({ shape, dtype, values: [0, 3, 0] }, name));
      continue;
    }
    const spec = { shape, dtype, max: SMALL_ID };
    const fill = dtype === "f32" ? fillOf(name) : undefined;
    values.set(name, sampleTensor(fill === undefined ? spec : { ...spec, fill }, name));
  }
  return values;
}

/** Largest difference relative to the largest expected magnitude; infinite when shapes or dtypes differ. */
export function worstError(got: RefTensor | undefined, expected: RefTensor): number {
  if (got === undefined || got.shape.join() !== expected.shape.join()) return Infinity;
  if (got.dtype !== expected.dtype) return Infinity;
  let largest = 1e-30;
  let worst = 0;
  expected.data.forEach((value, i) => {
    const difference = Object.is(value, at(got.data, i)) ? 0 : Math.abs(value - at(got.data, i));
    if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value));
    worst = Math.max(worst, Number.isNaN(difference) ? Infinity : difference);
  });
  return worst / largest;
}
