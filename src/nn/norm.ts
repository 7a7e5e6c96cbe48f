/** @file LayerNorm or RMSNorm over the last axis, chosen by configuration. */
import { field, type Values } from "../config/field.ts";
import { enumOf, float } from "../config/schema.ts";
import { layerNorm } from "../ops/fused/layer_norm.ts";
import { rmsNorm } from "../ops/fused/rms_norm.ts";
import type { Axis } from "./axis.ts";
import { init } from "./init.ts";
import { Module } from "./module.ts";
import type { Param } from "./param.ts";
import type { Tensor } from "./tensor.ts";

const config = {
  norm: field(
    "architecture/norm",
    enumOf(["layer", "rms"]),
    "layer",
    "normalisation: LayerNorm or RMSNorm",
  ),
  normEps: field("architecture/norm_eps", float({ above: 0 }), 1e-5, "added to the variance"),
};

export type NormOptions = Values<typeof config> & { readonly bias: boolean };

export class Norm extends Module {
  static readonly config = config;
  readonly weight: Param;
  /** RMSNorm has none. */
  readonly bias: Param | undefined;
  private readonly options: NormOptions;
  private readonly width: Axis;

  constructor(width: Axis, options: NormOptions) {
    super();
    this.width = width;
    this.options = options;
    this.weight = this.param("weight", [width], init.ones);
    const hasBias = options.bias && options.norm === "layer";
    this.bias = hasBias ? this.param("bias", [width], init.zeros) : undefined;
  }

  override forward(x: Tensor): Tensor {
    if (x.dim("norm", this.width.name) !== x.axes.length - 1)
      this.fail(`expected ${this.width.name} to be the last axis of its input`);
    const { trace } = x;
    const { norm, normEps } = this.options;
    const weight = trace.param(this.weight).id;
    if (norm === "rms") return x.like(rmsNorm(trace.b, x.id, weight, normEps));
    const bias = this.bias === undefined ? null : trace.param(this.bias).id;
    return x.like(layerNorm(trace.b, x.id, weight, bias, normEps));
  }
}
