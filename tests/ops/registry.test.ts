/** @file Every op of the registry, from its samples: types, gradients and finite differences in f64. */
import { describe, expect, test } from "bun:test";
import { typeText } from "../../src/ir/text.ts";
import { at } from "../../src/ops/check.ts";
import type { AnyOp, Sample } from "../../src/ops/define.ts";
import { decomposition, runOp } from "../../src/ops/interpreter.ts";
import { ops } from "../../src/ops/registry.ts";
import { elementCount } from "../../src/util/shapes.ts";
import { gradientsOf, norm, project, slope } from "./gradients.ts";
import { normalSource, sampleTensors } from "./values.ts";

/** Ops whose meaning lies outside of them: the interpreter provides inputs and picks results. */
const STRUCTURAL = new Set(["input", "get"]);

const cases: [string, AnyOp, Sample][] = Array.from(ops.values()).flatMap((op) =>
  op.samples.map((sample): [string, AnyOp, Sample] => [`${op.name}: ${sample.name}`, op, sample]),
);
const differentiable = cases.filter(([, op]) => op.vjp !== null && op.tier !== "lowered");
/** Large samples are there for kernels; some of their many values always sit at a kink. */
const small = differentiable.filter(
  ([, , sample]) => sample.inputs.reduce((sum, { shape }) => sum + elementCount(shape), 0) < 10000,
);
const fused = differentiable.filter(([, op]) => op.tier === "fused");

describe("every op", () => {
  test("has a doc, samples of distinct names, and a meaning", () => {
    for (const op of ops.values()) {
      const names = op.samples.map(({ name }) => name);
      expect(new Set(names).size, op.name).toBe(names.length);
      expect(op.doc.length, op.name).toBeGreaterThan(0);
      if (STRUCTURAL.has(op.name)) continue;
      expect(names.length, op.name).toBeGreaterThan(0);
      expect(op.tier === "fused" ? op.decompose : op.reference, op.name).toBeDefined();
    }
  });

  test.each(cases)("%s: infer equals the executed shape", (_, op, sample) => {
    const types = op.infer(sample.inputs, sample.attrs);
    const values = runOp(op, sampleTensors(op, sample), sample.attrs, types);
    expect(values.map(typeText)).toEqual(types.map(typeText));
    if (op.tier !== "fused") return;
    const { graph, results } = decomposition(op, sample.inputs, sample.attrs);
    const decomposed = results.map((id) => at(at(graph.nodes, id).types, 0));
    expect(decomposed.map(typeText)).toEqual(types.map(typeText));
  });

  test.each(cases)("%s: labels fit the operands", (_, op, sample) => {
    const dims = op.dims?.(sample.inputs, sample.attrs);
    if (dims === undefined) return;
    const types = [...sample.inputs, ...op.infer(sample.inputs, sample.attrs)];
    expect(dims.labels.map((l) => l.length)).toEqual(types.map(({ shape }) => shape.length));
    const known = new Set(dims.labels.flat());
    for (const label of dims.whole ?? []) expect(known).toContain(label);
    for (const labels of dims.labels) expect(new Set(labels).size).toBe(labels.length);
  });
});

describe("gradients", () => {
  test.each(fused)("%s: equals that of the decomposition", (_, op, sample) => {
    const operands = sampleTensors(op, sample);
    const own = project(op, sample.attrs, operands, "vjp", false);
    const derived = project(op, sample.attrs, operands, "decomposition", false);
    const [got, expected] = [gradientsOf(own), gradientsOf(derived)];
    for (const i of own.wrt) {
      const a = got.get(`grad${i}`)?.data ?? new Float64Array(0);
      const b = expected.get(`grad${i}`)?.data ?? new Float64Array(0);
      expect(a.length).toBe(b.length);
      const difference = norm(a.map((x, k) => x - at(b, k)));
      expect(difference, `operand ${i}`).toBeLessThanOrEqual(1e-9 * (norm(b) + 1e-6));
    }
  });

  test.each(small)("%s: equals finite differences", (name, op, sample) => {
    if (op.name === "stop_gradient") return;
    const operands = sampleTensors(op, sample, true);
    const projection = project(op, sample.attrs, operands, "decomposition", true);
    const gradients = gradientsOf(projection);
    for (const i of projection.wrt) {
      if (at(sample.inputs, i).values !== undefined) continue;
      const gradient = gradients.get(`grad${i}`)?.data ?? new Float64Array(0);
      const direction = Float64Array.from(gradient, normalSource(`${name} direction ${i}`));
      const analytic = gradient.reduce((sum, x, k) => sum + x * at(direction, k), 0);
      const error = Math.abs(analytic - slope(projection, i, direction));
      expect(error, `operand ${i}`).toBeLessThanOrEqual(1e-6 * (norm(gradient) + 1e-6));
    }
  });
});
