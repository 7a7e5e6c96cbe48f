/** @file What the passes make of every op means the same as the op: choice, fusion and planning, without a kernel. */
import { describe, expect, test } from "bun:test";
import { at } from "../../src/ops/check.ts";
import type { AnyOp, Sample } from "../../src/ops/define.ts";
import { interpret, runOp } from "../../src/ops/interpreter.ts";
import { ops } from "../../src/ops/registry.ts";
import { compile } from "../../src/passes/compile.ts";
import { verify } from "../../src/passes/verify.ts";
import { norm } from "./gradients.ts";
import { named, oneOp } from "./one_op.ts";
import { sampleTensors } from "./values.ts";

const cases: [string, AnyOp, Sample][] = Array.from(ops.values()).flatMap((op) =>
  op.tier === "lowered"
    ? []
    : op.samples.map((sample): [string, AnyOp, Sample] => [
        `${op.name}: ${sample.name}`,
        op,
        sample,
      ]),
);

/** Equal infinities count as equal. */
function relativeError(got: Float64Array, expected: Float64Array): number {
  const difference = got.map((x, i) => (Object.is(x, at(expected, i)) ? 0 : x - at(expected, i)));
  return norm(difference) / (norm(expected.filter(Number.isFinite)) + 1e-9);
}

describe.each([true, false])("compiled with fuse: %p", (fuse) => {
  test.each(cases)("%s", (_, op, sample) => {
    const operands = sampleTensors(op, sample);
    const graph = oneOp(op, operands, sample.attrs);
    verify(graph, "traced");
    const target = { kind: "cpu", level: "v3", threads: 1 } as const;
    const compiled = compile(graph, target, { fuse, verify: true });
    const types = op.infer(sample.inputs, sample.attrs);
    const expected = runOp(op, operands, sample.attrs, types);
    const got = interpret(compiled.graph, named(operands));
    expected.forEach(({ data }, i) => {
      const result = got.get(`${i}`);
      expect(result?.dtype).toBe(at(types, i).dtype);
      expect(relativeError(result?.data ?? new Float64Array(0), data)).toBeLessThanOrEqual(1e-9);
    });
  });
});
