/**
 * @file A low-rank adapter (LoRA): (alpha / rank) B A x, added to what a linear layer gives. A starts random, B at zero, so that a
 * model with new adapters computes what it did before.
 */
import type { Axis } from "./axis.ts";
import { axis } from "./axis.ts";
import { Dropout } from "./dropout.ts";
import { init } from "./init.ts";
import { Module } from "./module.ts";
import type { Param } from "./param.ts";
import type { Tensor } from "./tensor.ts";

export interface LowRankOptions {
  readonly rank: number;
  readonly alpha: number;
  /** Share of the input's elements that training zeroes, for the adapter alone. */
  readonly dropout: number;
}

export class LowRank extends Module {
  /** [rank, input]. */
  readonly a: Param;
  /** [output, rank]. */
  readonly b: Param;
  readonly scale: number;
  private readonly input: Axis;
  private readonly rank: Axis;
  private readonly drop: Dropout;

  constructor(input: Axis, output: Axis, { rank, alpha, dropout }: LowRankOptions) {
    super();
    this.input = input;
    this.rank = axis("rank", rank);
    this.scale = alpha / rank;
    // The deviation of PyTorch's usual start of a linear layer.
    const start = init.normal(1 / Math.sqrt(3 * input.size));
    this.a = this.param("a", [this.rank, input], start);
    this.b = this.param("b", [output, this.rank], init.zeros);
    this.drop = this.child("drop", () => new Dropout({ dropout }));
  }

  override forward(x: Tensor): Tensor {
    const low = this.drop.call(x).dot(this.a, this.input.name);
    return low.dot(this.b, this.rank.name).scale(this.scale);
  }
}
