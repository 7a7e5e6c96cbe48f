/** @file Random graphs of primitives: chains that share values, views of views, and several outputs, and gradients. */
import { grad } from "../../src/autodiff/grad.ts";
import type { Graph, Id } from "../../src/ir/graph.ts";
import { Builder } from "../../src/ops/builder.ts";
import { at } from "../../src/ops/check.ts";
import { add } from "../../src/ops/prim/add.ts";
import { broadcast } from "../../src/ops/prim/broadcast.ts";
import { cast } from "../../src/ops/prim/cast.ts";
import { compare } from "../../src/ops/prim/compare.ts";
import { concat } from "../../src/ops/prim/concat.ts";
import { constantLike } from "../../src/ops/prim/const.ts";
import { cumsum } from "../../src/ops/prim/cumsum.ts";
import { dot } from "../../src/ops/prim/dot.ts";
import { input } from "../../src/ops/prim/input.ts";
import { max } from "../../src/ops/prim/max.ts";
import { mul } from "../../src/ops/prim/mul.ts";
import { neg } from "../../src/ops/prim/neg.ts";
import { pad } from "../../src/ops/prim/pad.ts";
import { reduce } from "../../src/ops/prim/reduce.ts";
import { reshape } from "../../src/ops/prim/reshape.ts";
import { select } from "../../src/ops/prim/select.ts";
import { slice } from "../../src/ops/prim/slice.ts";
import { sub } from "../../src/ops/prim/sub.ts";
import { tanh } from "../../src/ops/prim/tanh.ts";
import { transpose } from "../../src/ops/prim/transpose.ts";
import { uniformSource } from "./values.ts";

/** Every value stays near 1, so that errors keep their meaning through long chains. */
type Step = (b: Builder, x: Id, y: Id, draw: (n: number) => number) => Id;

const shapeOf = (b: Builder, x: Id): readonly number[] => b.type(x).shape;

/** A second operand of the shape of `x`. */
const like = (b: Builder, x: Id, y: Id): Id =>
  shapeOf(b, x).join() === shapeOf(b, y).join() ? y : constantLike(b, x, 0.75);

function reversed(rank: number, turn: number): number[] {
  const perm = Array.from({ length: rank }, (_, d) => (d + turn) % rank);
  return turn % 2 === 0 ? perm : perm.toReversed();
}

const largest: Step = (b, x, y) => max(b, neg(b, x), like(b, x, y));
// Compared with odd constants only: where two computed values tie, rounding would decide.
const selected: Step = (b, x, y) =>
  select(b, compare(b, x, constantLike(b, x, 0.3137), "lt"), x, like(b, x, y));
const compared: Step = (b, x) => cast(b, compare(b, x, constantLike(b, x, 0.25), "le"), "f32");
const reduced: Step = (b, x, _, draw) =>
  tanh(b, reduce(b, x, draw(2) === 0 ? "sum" : "max", [draw(shapeOf(b, x).length)]));
const summed: Step = (b, x, _, draw) => tanh(b, reduce(b, x, "sum", [draw(shapeOf(b, x).length)]));

const dotStep =
  (compute: "f32" | "bf16"): Step =>
  (b, x, y, draw) => {
    const d = draw(shapeOf(b, x).length);
    const small = shapeOf(b, x).length < 4 ? like(b, x, y) : x;
    const batch = shapeOf(b, x)
      .map((_, dim) => [dim, dim] as const)
      .filter(([dim]) => dim < d);
    const contract = [[d, d]] as const;
    const product = dot(b, cast(b, x, compute), cast(b, small, compute), { batch, contract });
    return tanh(b, mul(b, product, constantLike(b, product, 0.2)));
  };
const product = dotStep("f32");

const STEPS: readonly Step[] = [
  (b, x, y) => tanh(b, add(b, x, like(b, x, y))),
  (b, x, y) => tanh(b, mul(b, x, like(b, x, y))),
  (b, x, y) => tanh(b, sub(b, like(b, x, y), x)),
  largest,
  selected,
  (b, x, _, draw) => transpose(b, x, reversed(shapeOf(b, x).length, draw(4))),
  (b, x, _, draw) => {
    const shape = shapeOf(b, x);
    const starts = shape.map((n) => draw(Math.max(1, n - 1)));
    const limits = shape.map((n, d) => at(starts, d) + 1 + draw(n - at(starts, d)));
    return slice(b, x, starts, limits);
  },
  (b, x, _, draw) =>
    pad(
      b,
      x,
      shapeOf(b, x).map(() => draw(2)),
      shapeOf(b, x).map(() => draw(2)),
    ),
  (b, x, y, draw) => concat(b, [x, like(b, x, y), x], draw(shapeOf(b, x).length)),
  (b, x) => reshape(b, x, [shapeOf(b, x).reduce((p, q) => p * q, 1), 1]),
  (b, x) => {
    const [first = 1, ...rest] = shapeOf(b, x);
    return first % 2 === 0 ? reshape(b, x, [first / 2, 2, ...rest]) : x;
  },
  reduced,
  (b, x) =>
    broadcast(
      b,
      x,
      [3, ...shapeOf(b, x)],
      shapeOf(b, x).map((_, d) => d + 1),
    ),
  (b, x, _, draw) => {
    const dim = draw(shapeOf(b, x).length);
    return tanh(b, cumsum(b, x, dim, { exclusive: draw(2) === 0, reverse: draw(2) === 0 }));
  },
  product,
  compared,
];

/** Without jumps, where rounding would decide between far values; products in bf16, and more of them. */
const SMOOTH_STEPS: readonly Step[] = STEPS.flatMap((step) => {
  if (step === product) return [dotStep("bf16"), dotStep("bf16"), dotStep("bf16")];
  if (step === reduced) return [summed];
  return step === largest || step === selected || step === compared ? [] : [step];
});

const usable = (b: Builder, id: Id): boolean => {
  const shape = shapeOf(b, id);
  const count = shape.reduce((p, q) => p * q, 1);
  return shape.length >= 1 && shape.length <= 5 && count <= 4000;
};

/** The same graph for the same seed; in bf16 its values are smooth functions of the inputs. */
export function randomGraph(seed: number, compute: "f32" | "bf16" = "f32"): Graph {
  const steps = compute === "f32" ? STEPS : SMOOTH_STEPS;
  const uniform = uniformSource(`graph ${seed}`);
  const draw = (n: number) => Math.floor(uniform() * n);
  const b = new Builder(`random ${seed}`);
  const values = [0, 1].map((i) =>
    input(b, { name: `${i}`, kind: "input", shape: [4, 3 + (seed % 3), 6], dtype: "f32" }),
  );
  for (let i = 0; i < 24; i++) {
    const [x, y] = [at(values, draw(values.length)), at(values, draw(values.length))];
    const z = at(steps, draw(steps.length))(b, x, y, draw);
    if (usable(b, z)) values.push(z);
  }
  const results = new Set([
    values.length - 1,
    ...Array.from({ length: 3 }, () => draw(values.length)),
  ]);
  for (const i of results) b.output(`${i}`, at(values, i));
  const last = at(values, values.length - 1);
  const dims = shapeOf(b, last).map((_, d) => d);
  grad(b, reduce(b, last, "sum", dims), [0, 1]).forEach((id, i) => {
    b.output(`gradient ${i}`, id);
  });
  return b.finish();
}
