/** @file y = x W + b over one named axis. */
import type { Axis } from "./axis.ts";
import { type Init, init } from "./init.ts";
import { Module } from "./module.ts";
import type { Param } from "./param.ts";
import type { Tensor } from "./tensor.ts";

export interface LinearOptions {
  readonly bias: boolean;
  readonly init: Init;
}

export class Linear extends Module {
  readonly weight: Param;
  readonly bias: Param | undefined;
  private readonly input: Axis;

  constructor(input: Axis, output: Axis, options: LinearOptions) {
    super();
    this.input = input;
    this.weight = this.param("weight", [input, output], options.init);
    this.bias = options.bias ? this.param("bias", [output], init.zeros) : undefined;
  }

  override forward(x: Tensor): Tensor {
    const y = x.dot(this.weight, this.input.name);
    return this.bias === undefined ? y : y.add(this.bias);
  }
}
