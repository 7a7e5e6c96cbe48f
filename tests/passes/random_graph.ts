/** @file Random small graphs of matrices: chains, views, products, norms, parts and sums, with state that is replaced. */
import type { Graph, Id } from "../../src/ir/graph.ts";
import { Builder } from "../../src/ops/builder.ts";
import { at } from "../../src/ops/check.ts";
import { embeddingGrad } from "../../src/ops/fused/embedding_grad.ts";
import { gelu } from "../../src/ops/fused/gelu.ts";
import { geluGrad } from "../../src/ops/fused/gelu_grad.ts";
import { layerNorm } from "../../src/ops/fused/layer_norm.ts";
import { silu } from "../../src/ops/fused/silu.ts";
import { siluGrad } from "../../src/ops/fused/silu_grad.ts";
import { add } from "../../src/ops/prim/add.ts";
import { broadcast } from "../../src/ops/prim/broadcast.ts";
import { cast } from "../../src/ops/prim/cast.ts";
import { compare } from "../../src/ops/prim/compare.ts";
import { concat } from "../../src/ops/prim/concat.ts";
import { constant } from "../../src/ops/prim/const.ts";
import { dot } from "../../src/ops/prim/dot.ts";
import { get } from "../../src/ops/prim/get.ts";
import { input } from "../../src/ops/prim/input.ts";
import { max } from "../../src/ops/prim/max.ts";
import { mul } from "../../src/ops/prim/mul.ts";
import { neg } from "../../src/ops/prim/neg.ts";
import { pad } from "../../src/ops/prim/pad.ts";
import { reduce } from "../../src/ops/prim/reduce.ts";
import { reshape } from "../../src/ops/prim/reshape.ts";
import { select } from "../../src/ops/prim/select.ts";
import { slice } from "../../src/ops/prim/slice.ts";
import { tanh } from "../../src/ops/prim/tanh.ts";
import { transpose } from "../../src/ops/prim/transpose.ts";
import type { Shape } from "../../src/util/shapes.ts";
import { uniformSource } from "../ops/values.ts";

/** Few sizes make many values of one shape, which fuse; many sizes make views and parts. */
const SIZES = [[4], [2, 4], [2, 3, 4, 6]];
const STATES = 4;

/** Draws ids and numbers; every value of the pool is f32 of rank 2, bounded by tanh where it could grow. */
class Draw {
  readonly b: Builder;
  readonly pool: Id[] = [];
  private readonly uniform: () => number;

  constructor(seed: number) {
    this.b = new Builder(`random_${seed}`);
    this.uniform = uniformSource(`random graph ${seed}`);
  }

  below(limit: number): number {
    return Math.floor(this.uniform() * limit);
  }

  pick<T>(list: readonly T[]): T {
    return at(list, this.below(list.length));
  }

  any(): Id {
    // Recent values more often, so that chains grow.
    const recent = Math.min(6, this.pool.length);
    const back = this.below(3) > 0 ? this.below(recent) : this.below(this.pool.length);
    return at(this.pool, this.pool.length - 1 - back);
  }

  shape(id: Id): Shape {
    return this.b.type(id).shape;
  }

  /** A value of the same shape: another one, or a view or constant made to fit. */
  mate(id: Id): Id {
    const shape = this.shape(id);
    const same = this.pool.filter((other) => this.shape(other).join() === shape.join());
    switch (this.below(5)) {
      case 0:
        return constant(this.b, this.pick([0, 1, -0.5, 2]), shape, "f32");
      case 1: {
        const row = this.pool.find((other) => this.shape(other)[1] === shape[1]) ?? id;
        return broadcast(this.b, reduce(this.b, row, "sum", [0]), shape, [1]);
      }
      default:
        return this.pick(same);
    }
  }
}

type Move = (draw: Draw, b: Builder, x: Id) => Id;

const rows = (draw: Draw, x: Id): number => at(draw.shape(x), 0);
const columns = (draw: Draw, x: Id): number => at(draw.shape(x), 1);

function product(draw: Draw, b: Builder, x: Id): Id {
  const side = draw.below(2) as 0 | 1;
  const size = at(draw.shape(x), side);
  const other = draw.pool.find((y) => draw.shape(y).includes(size)) ?? x;
  const dim = draw.shape(other).indexOf(size);
  const narrow = draw.below(2) === 0;
  const of = (id: Id): Id => (narrow ? cast(b, id, "bf16") : id);
  const y = dot(b, of(x), of(other), { batch: [], contract: [[side, dim]] });
  return draw.below(2) === 0 ? y : mul(b, y, constant(b, 0.25, b.type(y).shape, "f32"));
}

/** A product with the bias and activation of a feed-forward layer; what comes before it may get other readers. */
function activated(draw: Draw, b: Builder, x: Id): Id {
  const y = product(draw, b, x);
  const shape = draw.shape(y);
  const rows = draw.pool.filter((id) => draw.shape(id)[1] === shape[1]);
  const row = rows[0] === undefined ? null : reduce(b, rows[0], "sum", [0]);
  const h = row === null ? y : add(b, y, broadcast(b, row, shape, [1]));
  if (draw.below(2) === 0) draw.pool.push(h);
  return draw.below(2) === 0 ? gelu(b, h, "erf") : silu(b, h);
}

/** A product times the derivative of an activation at another value. */
function sloped(draw: Draw, b: Builder, x: Id): Id {
  const y = product(draw, b, x);
  const shape = draw.shape(y).join();
  const aux = draw.pool.findLast((id) => draw.shape(id).join() === shape) ?? y;
  return mul(b, y, draw.below(2) === 0 ? geluGrad(b, aux, "erf") : siluGrad(b, aux));
}

function normed(draw: Draw, b: Builder, x: Id): Id {
  const width = columns(draw, x);
  const vector = reduce(b, x, "max", [0]);
  const y = layerNorm(b, x, vector, constant(b, 0.5, [width], "f32"), 1e-3);
  return add(b, y, broadcast(b, get(b, y, 1), draw.shape(x), [0]));
}

function table(draw: Draw, b: Builder, x: Id): Id {
  const ids = cast(
    b,
    compare(b, reduce(b, x, "sum", [1]), constant(b, 0, [rows(draw, x)], "f32"), "lt"),
    "i32",
  );
  const made = embeddingGrad(b, ids, x, { rows: 2 });
  return add(b, slice(b, pad(b, x, [2, 0], [0, 0]), [0, 0], [2, columns(draw, x)]), made);
}

const MOVES: readonly Move[] = [
  (draw, b, x) => add(b, x, draw.mate(x)),
  (draw, b, x) => add(b, draw.mate(x), x),
  (draw, b, x) => mul(b, x, draw.mate(x)),
  (draw, b, x) => max(b, x, draw.mate(x)),
  (_, b, x) => tanh(b, x),
  (_, b, x) => neg(b, x),
  (_, b, x) => gelu(b, x, "tanh"),
  (_, b, x) => silu(b, x),
  (draw, b, x) => mul(b, draw.mate(x), geluGrad(b, x, "tanh")),
  (draw, b, x) => select(b, compare(b, x, draw.mate(x), "lt"), x, draw.mate(x)),
  (_, b, x) => cast(b, cast(b, x, "bf16"), "f32"),
  (_, b, x) => transpose(b, x, [1, 0]),
  (draw, b, x) => reshape(b, x, [columns(draw, x), rows(draw, x)]),
  (draw, b, x) => slice(b, x, [0, draw.below(2)], [rows(draw, x), columns(draw, x)]),
  (draw, b, x) => concat(b, [x, draw.mate(x)], draw.below(2)),
  (_, b, x) => pad(b, x, [0, 1], [1, 0]),
  (draw, b, x) => broadcast(b, reduce(b, x, "sum", [1]), draw.shape(x), [0]),
  product,
  product,
  activated,
  activated,
  sloped,
  normed,
  table,
];

/** Larger values are cut, so that f64 errors stay small and values finite. */
function bounded(draw: Draw, id: Id): Id {
  return draw.below(4) === 0 ? tanh(draw.b, id) : id;
}

export function randomGraph(seed: number, moves: number): Graph {
  const draw = new Draw(seed);
  const { b, pool } = draw;
  const sizes = at(SIZES, seed % SIZES.length);
  const matrix = (name: string, kind: "state" | "input"): Id => {
    const shape = [draw.pick(sizes), draw.pick(sizes)];
    return input(b, { name, kind, shape, dtype: "f32" });
  };
  const states = Array.from({ length: STATES }, (_, i) => matrix(`state/${i}`, "state"));
  pool.push(...states, matrix("x", "input"), matrix("y", "input"));
  while (pool.length < moves) {
    const made = bounded(draw, draw.pick(MOVES)(draw, b, draw.any()));
    const small = draw.shape(made).every((size) => size >= 2 && size <= 12);
    if (small) pool.push(made);
  }
  states.forEach((state, i) => {
    const name = `state/${i}`;
    const next = replacement(draw, state);
    if (next !== null) b.output(name, next, name);
  });
  b.output("last", at(pool, pool.length - 1));
  b.output("any", draw.any());
  return b.finish();
}

/** The next value of a state: a sum onto it, any value of its shape (maybe another state), or none. */
function replacement(draw: Draw, state: Id): Id | null {
  const { b, pool } = draw;
  const shape = draw.shape(state).join();
  const same = pool.filter((id) => draw.shape(id).join() === shape);
  switch (draw.below(3)) {
    case 0:
      return add(b, state, draw.pick(same));
    case 1:
      return draw.pick(same);
    default:
      return null;
  }
}
