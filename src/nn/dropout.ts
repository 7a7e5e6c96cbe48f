/**
 * @file Dropout: keep or drop by comparing random bits with a threshold. The bits depend on the place in the model, the step
 * and the global sample index, never on the batch's split or the order of execution.
 */
import { field, type Values } from "../config/field.ts";
import { float } from "../config/schema.ts";
import { compare } from "../ops/prim/compare.ts";
import { constant } from "../ops/prim/const.ts";
import { randomBits } from "../ops/prim/random_bits.ts";
import { select } from "../ops/prim/select.ts";
import { scopeKey } from "../util/prng.ts";
import { sizesOf } from "./axis.ts";
import { Module } from "./module.ts";
import type { Tensor } from "./tensor.ts";

const config = {
  dropout: field(
    "architecture/dropout",
    float({ min: 0, below: 1 }),
    0,
    "share of activations that training zeroes",
  ),
};

export type DropoutOptions = Values<typeof config>;

export class Dropout extends Module {
  static readonly config = config;
  private readonly rate: number;

  constructor(options: DropoutOptions) {
    super();
    this.rate = options.dropout;
  }

  override forward(x: Tensor): Tensor {
    const { b, random } = x.trace;
    if (random === undefined || this.rate === 0) return x;
    if (x.axes[0]?.name !== "batch") this.fail("expected batch to be the first axis of its input");
    const shape = sizesOf(x.axes);
    const key = scopeKey(random.seed, this.path);
    const bits = randomBits(b, random.step, random.sample, { shape, key });
    const threshold = Math.round(this.rate * 2 ** 32);
    const drop = compare(b, bits, constant(b, threshold, shape, "u32"), "lt");
    const zero = constant(b, 0, shape, x.dtype);
    return x.like(select(b, drop, zero, x.scale(1 / (1 - this.rate)).id));
  }
}
