/** @file y = x W + b over one named axis. */
import type { Axis } from "./axis.ts";
import { type Init, init } from "./init.ts";
import { LowRank, type LowRankOptions } from "./low_rank.ts";
import { Module } from "./module.ts";
import type { Param } from "./param.ts";
import type { Tensor } from "./tensor.ts";

/** The order of a matrix in memory and on disk: ours and GPT-2's, or that of PyTorch's Linear. */
export type MatrixOrder = "in_out" | "out_in";

export interface LinearOptions {
  readonly bias: boolean;
  readonly init: Init;
  /** Default: in_out. */
  readonly order?: MatrixOrder;
}

export class Linear extends Module {
  readonly weight: Param;
  readonly bias: Param | undefined;
  readonly input: Axis;
  readonly output: Axis;
  readonly order: MatrixOrder;
  private added: LowRank | undefined;

  constructor(input: Axis, output: Axis, options: LinearOptions) {
    super();
    this.input = input;
    this.output = output;
    this.order = options.order ?? "in_out";
    const axes = this.order === "out_in" ? [output, input] : [input, output];
    this.weight = this.param("weight", axes, options.init);
    this.bias = options.bias ? this.param("bias", [output], init.zeros) : undefined;
  }

  override forward(x: Tensor): Tensor {
    const y = x.dot(this.weight, this.input.name);
    const biased = this.bias === undefined ? y : y.add(this.bias);
    return this.added === undefined ? biased : biased.add(this.added.call(x));
  }

  get adapter(): LowRank | undefined {
    return this.added;
  }

  /** Adds an adapter; the weights themselves are then usually frozen. */
  adapt(options: LowRankOptions): void {
    this.added = this.child("lora", () => new LowRank(this.input, this.output, options));
  }
}
