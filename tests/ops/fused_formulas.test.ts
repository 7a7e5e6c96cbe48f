/** @file What fused ops mean, against formulas written out in plain loops: the decompositions share no code with these. */
import { describe, expect, test } from "bun:test";
import type { Attrs } from "../../src/ir/graph.ts";
import { at } from "../../src/ops/check.ts";
import type { SampleInput } from "../../src/ops/define.ts";
import { attentionOp } from "../../src/ops/fused/attention.ts";
import { visiblePairs } from "../../src/ops/fused/attention_mask.ts";
import { rowsPerChunk } from "../../src/ops/fused/workspace.ts";
import { runOp } from "../../src/ops/interpreter.ts";
import { type RefTensor, refTensor } from "../../src/ops/reference.ts";
import { opOf } from "../../src/ops/registry.ts";
import { normalSource, sampleTensor } from "./values.ts";

const f32 = (shape: readonly number[], name: string): RefTensor =>
  sampleTensor({ shape, dtype: "f32" } satisfies SampleInput, name);

function run(name: string, inputs: readonly RefTensor[], attrs: Attrs = {}): Float64Array[] {
  const op = opOf(name);
  return runOp(op, inputs, attrs, op.infer(inputs, attrs)).map(({ data }) => data);
}

function expectClose(got: Float64Array | undefined, expected: ArrayLike<number>): void {
  expect(got?.length).toBe(expected.length);
  got?.forEach((value, i) => {
    expect(Math.abs(value - at(expected, i))).toBeLessThan(1e-12);
  });
}

const scalarOf = (name: string, x: number, attrs: Attrs = {}): number =>
  at(at(run(name, [refTensor([], "f32", [x])], attrs), 0), 0);

describe("norms", () => {
  const [rows, columns, eps] = [3, 7, 1e-5];
  const x = f32([rows, columns], "x");
  const weight = f32([columns], "weight");
  const bias = f32([columns], "bias");
  const row = (r: number): number[] => Array.from(x.data.slice(r * columns, (r + 1) * columns));
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b) / columns;

  test("layer_norm", () => {
    const [y, means, rstds] = run("layer_norm", [x, weight, bias], { eps });
    for (let r = 0; r < rows; r++) {
      const m = mean(row(r));
      const rstd = 1 / Math.sqrt(mean(row(r).map((v) => (v - m) ** 2)) + eps);
      const expected = row(r).map((v, c) => (v - m) * rstd * at(weight.data, c) + at(bias.data, c));
      expectClose(y?.slice(r * columns, (r + 1) * columns), expected);
      expectClose(means?.slice(r, r + 1), [m]);
      expectClose(rstds?.slice(r, r + 1), [rstd]);
    }
  });

  test("rms_norm", () => {
    const [y, rstds] = run("rms_norm", [x, weight], { eps });
    for (let r = 0; r < rows; r++) {
      const rstd = 1 / Math.sqrt(mean(row(r).map((v) => v * v)) + eps);
      const expected = row(r).map((v, c) => v * rstd * at(weight.data, c));
      expectClose(y?.slice(r * columns, (r + 1) * columns), expected);
      expectClose(rstds?.slice(r, r + 1), [rstd]);
    }
  });
});

describe("softmax and losses", () => {
  const [rows, vocab, width] = [4, 6, 5];
  const targets = refTensor([rows], "i32", [2, -1, 5, 0]);
  const lseOf = (values: readonly number[]): number =>
    Math.log(values.reduce((sum, v) => sum + Math.exp(v), 0));

  function expected(logits: Float64Array): { loss: number[]; lse: number[] } {
    const lse = Array.from({ length: rows }, (_, r) =>
      lseOf(Array.from(logits.slice(r * vocab, (r + 1) * vocab))),
    );
    const loss = lse.map((value, r) => {
      const target = at(targets.data, r);
      return target < 0 ? 0 : value - at(logits, r * vocab + target);
    });
    return { loss, lse };
  }

  test("softmax", () => {
    const x = f32([rows, vocab], "x");
    const { lse } = expected(x.data);
    const [y] = run("softmax", [x]);
    expectClose(
      y,
      x.data.map((v, i) => Math.exp(v - at(lse, Math.floor(i / vocab)))),
    );
  });

  test("softmax of large numbers stays finite", () => {
    const [y] = run("softmax", [refTensor([3], "f32", [1000, 1000, -1000])]);
    expectClose(y, [0.5, 0.5, 0]);
  });

  test("cross_entropy; an ignored target costs nothing", () => {
    const logits = f32([rows, vocab], "logits");
    const [loss, lse] = run("cross_entropy", [logits, targets]);
    expectClose(loss, expected(logits.data).loss);
    expectClose(lse, expected(logits.data).lse);
  });

  test("linear_cross_entropy is cross_entropy of x . w^T", () => {
    const x = f32([rows, width], "x");
    const w = f32([vocab, width], "w");
    const logits = new Float64Array(rows * vocab).map((_, i) => {
      const [r, v] = [Math.floor(i / vocab), i % vocab];
      let sum = 0;
      for (let c = 0; c < width; c++) sum += at(x.data, r * width + c) * at(w.data, v * width + c);
      return sum;
    });
    const inputs = [x, w, targets];
    const [loss, lse] = run("linear_cross_entropy", inputs, { compute: "f32" });
    expectClose(loss, expected(logits).loss);
    expectClose(lse, expected(logits).lse);
    const dloss = f32([rows], "dloss");
    const [again, lseAgain] = run("linear_cross_entropy_grad", [...inputs, dloss], {
      compute: "f32",
    });
    expectClose(again, expected(logits).loss);
    expectClose(lseAgain, expected(logits).lse);
  });

  test("chunks hold at most 64 MiB of logits, in multiples of 8 rows of about equal number", () => {
    expect(rowsPerChunk(512, 50304)).toBe(256);
    expect(rowsPerChunk(4096, 50304)).toBe(320);
    expect(rowsPerChunk(4096, 10_000_000)).toBe(32);
    expect(rowsPerChunk(4096, 8192)).toBe(2048);
    expect(rowsPerChunk(100, 96)).toBe(100);
    expect(rowsPerChunk(5, 10_000_000)).toBe(5);
    for (let rows = 1; rows < 2000; rows += 37) {
      const chunk = rowsPerChunk(rows, 50304);
      expect(chunk * 50304 * 4).toBeLessThanOrEqual(64 * 1024 * 1024);
      expect(chunk === rows || chunk % 8 === 0).toBe(true);
    }
  });
});

interface Case {
  readonly causal: boolean;
  readonly window: number;
  readonly starts?: readonly number[];
}

describe("attention", () => {
  const [length, heads, groups, dim] = [6, 4, 2, 3];
  const shape = [1, length, heads, dim];
  const keyShape = [1, length, groups, dim];
  const [q, k, v] = [f32(shape, "q"), f32(keyShape, "k"), f32(keyShape, "v")];
  const cases: Case[] = [
    { causal: true, window: 0 },
    { causal: false, window: 0 },
    { causal: true, window: 2 },
    { causal: false, window: 3 },
    { causal: true, window: 0, starts: [0, 0, 2, 2, 2, 5] },
    { causal: true, window: 2, starts: [0, 0, 2, 2, 2, 5] },
  ];
  const sees = ({ causal, window, starts }: Case, i: number, j: number): boolean =>
    (!causal || j <= i) && (window === 0 || i - j < window) && j >= (starts?.[i] ?? 0);

  test.each(cases)("%p", (one) => {
    const attrs = { causal: one.causal, window: one.window, scale: 0.7, compute: "f32" };
    const { starts } = one;
    const documents = starts === undefined ? [] : [refTensor([1, length], "u32", starts)];
    const [out, lse] = run("attention", [q, k, v, ...documents], attrs);
    for (let h = 0; h < heads; h++) {
      const g = Math.floor(h / (heads / groups));
      for (let i = 0; i < length; i++) {
        const visible = Array.from({ length }, (_, j) => j).filter((j) => sees(one, i, j));
        const scores = visible.map((j) => {
          let sum = 0;
          for (let d = 0; d < dim; d++) {
            const query = at(q.data, (i * heads + h) * dim + d);
            sum += query * at(k.data, (j * groups + g) * dim + d);
          }
          return sum * 0.7;
        });
        const total = scores.reduce((sum, s) => sum + Math.exp(s), 0);
        const mixed = Array.from({ length: dim }, (_, d) =>
          visible.reduce((sum, j, n) => {
            const value = at(v.data, (j * groups + g) * dim + d);
            return sum + (Math.exp(at(scores, n)) / total) * value;
          }, 0),
        );
        const from = (i * heads + h) * dim;
        expectClose(out?.slice(from, from + dim), mixed);
        expectClose(lse?.slice(h * length + i, h * length + i + 1), [Math.log(total)]);
      }
    }
    if (starts !== undefined) return;
    const { causal, window } = one;
    let pairs = 0;
    for (let i = 0; i < length; i++) {
      for (let j = 0; j < length; j++) pairs += sees(one, i, j) ? 1 : 0;
    }
    expect(visiblePairs(length, { causal, window, scale: 1, compute: "f32" })).toBe(pairs);
    const flops = attentionOp.flops?.([q, k, v], { causal, window, scale: 1, compute: "f32" }, []);
    expect(flops).toBe(4 * heads * dim * pairs);
  });
});

describe("rope", () => {
  const attrs = { theta: 100, rotaryDims: 4, inverse: false };
  const x = f32([1, 5, 2, 6], "x");
  const positions = refTensor([1, 5], "i32", [0, 1, 2, 7, 30]);

  test("turns pairs (i, i + d/2) and leaves the rest", () => {
    const [y] = run("rope", [x, positions], attrs);
    const expected = x.data.slice();
    for (let row = 0; row < 10; row++) {
      for (let i = 0; i < 2; i++) {
        const angle = at(positions.data, Math.floor(row / 2)) * 100 ** (-i / 2);
        const [first, second] = [at(x.data, row * 6 + i), at(x.data, row * 6 + i + 2)];
        expected[row * 6 + i] = first * Math.cos(angle) - second * Math.sin(angle);
        expected[row * 6 + i + 2] = second * Math.cos(angle) + first * Math.sin(angle);
      }
    }
    expectClose(y, expected);
  });

  test("the inverse undoes it", () => {
    const [y = new Float64Array()] = run("rope", [x, positions], attrs);
    const turned = refTensor(x.shape, "f32", y);
    const [back] = run("rope", [turned, positions], { ...attrs, inverse: true });
    expectClose(back, x.data);
  });
});

describe("activations", () => {
  test("at 1", () => {
    expect(scalarOf("gelu", 1, { form: "erf" })).toBeCloseTo(0.8413447460685429, 12);
    expect(scalarOf("gelu", 1, { form: "tanh" })).toBeCloseTo(0.8411919906082768, 12);
    expect(scalarOf("silu", 1)).toBeCloseTo(0.7310585786300049, 12);
    expect(scalarOf("sigmoid", -1)).toBeCloseTo(0.2689414213699951, 12);
  });

  test.each([
    ["gelu", { form: "tanh" }],
    ["gelu", { form: "erf" }],
    ["silu", {}],
  ] as const)("the derivative op of %s %p is its slope", (name, attrs) => {
    for (const x of [-6, -1.3, 0, 0.4, 5]) {
      const step = 1e-5;
      const slope =
        (scalarOf(name, x + step, attrs) - scalarOf(name, x - step, attrs)) / (2 * step);
      expect(scalarOf(`${name}_grad`, x, attrs)).toBeCloseTo(slope, 8);
    }
  });

  test("far from zero they saturate instead of overflowing", () => {
    expect(scalarOf("sigmoid", -1000)).toBe(0);
    expect(scalarOf("sigmoid", 1000)).toBe(1);
    expect(scalarOf("silu", 1000)).toBe(1000);
    expect(scalarOf("silu_grad", -1000)).toBeCloseTo(0, 12);
    expect(scalarOf("gelu_grad", -50, { form: "tanh" })).toBeCloseTo(0, 12);
  });

  test("glu", () => {
    const [y] = run("glu", [refTensor([2], "f32", [1, -1]), refTensor([2], "f32", [3, 2])], {
      form: "silu",
    });
    expectClose(y, [3 * 0.7310585786300049, -2 * 0.2689414213699951]);
  });
});

describe("optimizer", () => {
  const next = normalSource("optimizer");
  const tensor = (): RefTensor => refTensor([2, 3], "f32", Array.from({ length: 6 }, next));
  const [param, m, grad] = [tensor(), tensor(), tensor()];
  const v = refTensor([2, 3], "f32", tensor().data.map(Math.abs));
  const scalars = (apply: number): RefTensor =>
    refTensor([8], "f32", [0.01, 0.9, 0.95, 1e-8, 0.1, 0.5, 4, apply]);

  test("adamw as Loshchilov and Hutter write it", () => {
    const results = run("adamw", [param, m, v, grad, scalars(1)]);
    param.data.forEach((old, i) => {
      const g = at(grad.data, i) * 0.5;
      const newM = 0.9 * at(m.data, i) + 0.1 * g;
      const newV = 0.95 * at(v.data, i) + 0.05 * g * g;
      const step = newM / (1 - 0.9 ** 4) / (Math.sqrt(newV / (1 - 0.95 ** 4)) + 1e-8);
      const expected = [old - 0.01 * (step + 0.1 * old), newM, newV];
      results.forEach((result, which) => {
        expectClose(result.slice(i, i + 1), [at(expected, which)]);
      });
    });
  });

  test("apply = 0 leaves everything as it was, whatever the gradient is", () => {
    const broken = refTensor([2, 3], "f32", new Array(6).fill(Number.NaN));
    const results = run("adamw", [param, m, v, broken, scalars(0)]);
    [param, m, v].forEach(({ data }, i) => {
      expectClose(results[i], data);
    });
  });

  test("grad_norm", () => {
    const inputs = [refTensor([2], "f32", [3, 4]), refTensor([], "f32", [12])];
    expectClose(at(run("grad_norm", inputs), 0), [13]);
  });
});

describe("embedding", () => {
  const ids = refTensor([4], "u32", [2, 0, 2, 2]);

  test("picks rows", () => {
    const table = f32([3, 2], "table");
    const [y] = run("embedding", [ids, table]);
    expectClose(
      y,
      [2, 0, 2, 2].flatMap((id) => [at(table.data, 2 * id), at(table.data, 2 * id + 1)]),
    );
  });

  test("its gradient adds up repeated ids, onto the base", () => {
    const dy = refTensor([4, 1], "f32", [1, 10, 100, 1000]);
    const base = refTensor([3, 1], "f32", [0.5, 0.5, 0.5]);
    expectClose(at(run("embedding_grad", [ids, dy], { rows: 3 }), 0), [10, 0, 1101]);
    expectClose(at(run("embedding_grad", [ids, dy, base], { rows: 3 }), 0), [10.5, 0.5, 1101.5]);
  });
});
