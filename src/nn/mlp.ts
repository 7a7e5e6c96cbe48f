/** @file The feed-forward half of a block: up, activation (or gated activation), down. */
import { field, type Values } from "../config/field.ts";
import { bool, enumOf, int, nullable } from "../config/schema.ts";
import { type Axis, axis } from "./axis.ts";
import type { Init } from "./init.ts";
import { Linear, type MatrixOrder } from "./linear.ts";
import { Module } from "./module.ts";
import type { Rules } from "./sharding.ts";
import type { Tensor } from "./tensor.ts";

const config = {
  ffMult: field("architecture/ff_mult", int({ min: 1 }), 4, "feed-forward width / n_embd"),
  ffWidth: field(
    "architecture/ff_width",
    nullable(int({ min: 1 })),
    null,
    "feed-forward width, where it is no multiple of n_embd",
  ),
  activation: field(
    "architecture/activation",
    enumOf(["gelu_tanh", "gelu_erf", "silu"]),
    "gelu_tanh",
    "activation of the feed-forward part",
  ),
  glu: field("architecture/glu", bool(), false, "gated feed-forward: act(gate(x)) * up(x)"),
};

export interface MlpOptions extends Values<typeof config> {
  readonly bias: boolean;
  /** Default: in_out. */
  readonly order?: MatrixOrder;
  readonly init: Init;
  /** Of the projection that writes to the residual stream. */
  readonly residualInit: Init;
}

export class Mlp extends Module {
  static readonly config = config;
  static readonly sharding = { n_embd_ff: "tensor" } satisfies Rules;
  readonly gate: Linear | undefined;
  readonly up: Linear;
  readonly down: Linear;
  private readonly options: MlpOptions;

  constructor(width: Axis, options: MlpOptions) {
    super();
    this.options = options;
    const { bias, order = "in_out" } = options;
    const ff = axis("n_embd_ff", options.ffWidth ?? options.ffMult * width.size);
    const inner = () => new Linear(width, ff, { bias, order, init: options.init });
    this.gate = options.glu ? this.child("gate", inner) : undefined;
    this.up = this.child("up", inner);
    this.down = this.child(
      "down",
      () => new Linear(ff, width, { bias, order, init: options.residualInit }),
    );
  }

  override forward(x: Tensor): Tensor {
    const up = this.up.call(x);
    const { activation } = this.options;
    if (this.gate !== undefined) return this.down.call(this.gate.call(x).glu(up, activation));
    if (activation === "silu") return this.down.call(up.silu());
    return this.down.call(up.gelu(activation === "gelu_erf" ? "erf" : "tanh"));
  }
}
