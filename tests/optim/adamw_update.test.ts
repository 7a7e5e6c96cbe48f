/** @file The update graph against a plain formula: means, clipping, decay of matrices only, and nothing at all for NaN. */
import { expect, test } from "bun:test";
import { Builder } from "../../src/ops/builder.ts";
import { interpret } from "../../src/ops/interpreter.ts";
import { input } from "../../src/ops/prim/input.ts";
import { refTensor } from "../../src/ops/reference.ts";
import { type AdamwOptions, adamwUpdate } from "../../src/optim/adamw_update.ts";

const options: AdamwOptions = { betas: [0.9, 0.99], eps: 1e-8, weightDecay: 0.1, gradClip: 0.5 };
const RATE = 0.01;
const TOKENS = 4;

interface Values {
  readonly matrix: readonly number[];
  readonly vector: readonly number[];
}

const params: Values = { matrix: [1, -2, 3, -4], vector: [0.5, -0.5] };

/** One first step from zero averages. */
function update(grads: Values, changed: Partial<AdamwOptions> = {}) {
  const b = new Builder("update");
  const values = new Map<string, ReturnType<typeof refTensor>>();
  const read = (name: string, shape: readonly number[], data: readonly number[]) => {
    values.set(name, refTensor(shape, "f32", data));
    return input(b, { name, kind: "state", shape, dtype: "f32" });
  };
  const slot = (path: "matrix" | "vector", shape: readonly number[]) => {
    const zeros = params[path].map(() => 0);
    return {
      ...{ path, shape, decays: shape.length > 1, param: read(`p/${path}`, shape, params[path]) },
      ...{ m: read(`m/${path}`, shape, zeros), v: read(`v/${path}`, shape, zeros) },
      grad: read(`g/${path}`, shape, grads[path]),
    };
  };
  const slots = [slot("matrix", [2, 2]), slot("vector", [2])];
  const scalar = (name: string, value: number) => read(name, [], [value]);
  const inputs = {
    learningRate: scalar("rate", RATE),
    step: scalar("step", 1),
    tokens: scalar("tokens", TOKENS),
  };
  const result = adamwUpdate(b, { ...options, ...changed }, inputs, slots);
  b.output("norm", result.gradNorm);
  b.output("applied", result.applied);
  result.slots.forEach(({ param, m, v }, i) => {
    b.output(`p${i}`, param);
    b.output(`m${i}`, m);
    b.output(`v${i}`, v);
  });
  const out = interpret(b.finish(), values);
  return (name: string) => [...(out.get(name)?.data ?? [])];
}

const close = (got: readonly number[], want: readonly number[]) => {
  expect(got).toHaveLength(want.length);
  got.forEach((x, i) => {
    expect(x).toBeCloseTo(want[i] ?? Number.NaN, 9);
  });
};

/** The first AdamW step: bias correction makes the direction g / (|g| + eps). */
const stepped = (p: number, g: number, decay: number) =>
  p - RATE * (g / (Math.abs(g) + options.eps) + decay * p);

test("gradient sums are divided by the tokens and clipped by their norm", () => {
  const grads = { matrix: [2, -2, 2, 2], vector: [4, 0] };
  const norm = Math.sqrt(4 * 4 + 16) / TOKENS;
  const out = update(grads);
  close(out("norm"), [norm]);
  expect(out("applied")).toEqual([1]);
  const factor = 0.5 / norm / TOKENS;
  close(
    out("m0"),
    grads.matrix.map((g) => 0.1 * g * factor),
  );
  close(
    out("v1"),
    grads.vector.map((g) => 0.01 * (g * factor) ** 2),
  );
  close(
    out("p0"),
    params.matrix.map((p, i) => stepped(p, (grads.matrix[i] ?? 0) * factor, 0.1)),
  );
  close(
    out("p1"),
    params.vector.map((p, i) => stepped(p, (grads.vector[i] ?? 0) * factor, 0)),
  );
});

test("a norm below the bound, or no bound, leaves the gradient alone", () => {
  const small = { matrix: [0.1, 0, 0, 0], vector: [0, 0.1] };
  close(update(small)("m0"), [0.1 * (0.1 / TOKENS), 0, 0, 0]);
  const large = { matrix: [40, 0, 0, 0], vector: [0, 0] };
  close(update(large, { gradClip: null })("m0"), [0.1 * (40 / TOKENS), 0, 0, 0]);
});

test.each([Number.NaN, Number.POSITIVE_INFINITY])("a gradient of %d changes nothing", (bad) => {
  const out = update({ matrix: [1, bad, 1, 1], vector: [1, 1] });
  expect(out("applied")).toEqual([0]);
  expect(out("p0")).toEqual([...params.matrix]);
  expect(out("p1")).toEqual([...params.vector]);
  expect(out("m0")).toEqual([0, 0, 0, 0]);
  expect(out("v1")).toEqual([0, 0]);
});
