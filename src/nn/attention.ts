/** @file Causal self-attention with grouped key and value heads and optional rotary positions. */
import { field, type Values } from "../config/field.ts";
import { float, int, nullable } from "../config/schema.ts";
import { rope } from "../ops/fused/rope.ts";
import { attend } from "./attend.ts";
import { type Axis, axis } from "./axis.ts";
import type { Init } from "./init.ts";
import { Linear } from "./linear.ts";
import { Module } from "./module.ts";
import type { Sequence } from "./sequence.ts";
import type { Rules } from "./sharding.ts";
import type { Tensor } from "./tensor.ts";

const config = {
  nHead: field("architecture/n_head", int({ min: 1 }), 6, "attention heads"),
  nKvHead: field(
    "architecture/n_kv_head",
    nullable(int({ min: 1 })),
    null,
    "heads of keys and values, each shared by a group of query heads; null: n_head",
  ),
  ropeTheta: field(
    "architecture/rope_theta",
    float({ above: 0 }),
    10000,
    "base of the rotary frequencies, for rotary positions",
  ),
};

export interface AttentionOptions extends Values<typeof config> {
  readonly rotary: boolean;
  readonly bias: boolean;
  readonly init: Init;
  /** Of the projection that writes to the residual stream. */
  readonly residualInit: Init;
}

export class Attention extends Module {
  static readonly config = config;
  static readonly sharding = { n_attn: "tensor" } satisfies Rules;
  readonly qkv: Linear;
  readonly proj: Linear;
  private readonly options: AttentionOptions;
  private readonly heads: Axis;
  private readonly kvHeads: Axis;
  private readonly headDim: Axis;

  constructor(width: Axis, options: AttentionOptions) {
    super();
    this.options = options;
    const { nHead, bias } = options;
    const nKvHead = options.nKvHead ?? nHead;
    if (width.size % nHead !== 0)
      this.fail(`n_head ${nHead} does not divide ${width.name} ${width.size}`);
    if (nHead % nKvHead !== 0) this.fail(`n_kv_head ${nKvHead} does not divide n_head ${nHead}`);
    const dim = width.size / nHead;
    if (options.rotary && dim % 2 !== 0)
      this.fail(`rotary positions need an even head width, got ${width.size} / ${nHead} = ${dim}`);
    this.heads = axis("head", nHead);
    this.kvHeads = axis("kv_head", nKvHead);
    this.headDim = axis("head_dim", dim);
    const all = axis("n_qkv", (nHead + 2 * nKvHead) * dim);
    this.qkv = this.child("qkv", () => new Linear(width, all, { bias, init: options.init }));
    const joined = axis("n_attn", nHead * dim);
    const residual = { bias, init: options.residualInit };
    this.proj = this.child("proj", () => new Linear(joined, width, residual));
  }

  override forward(x: Tensor, sequence: Sequence): Tensor {
    const { trace } = x;
    const dim = this.headDim.size;
    const packed = this.qkv.call(x);
    const part = (start: number, heads: Axis): Tensor => {
      const span = axis("part", heads.size * dim);
      return packed.slice("n_qkv", start * dim, span).split("part", [heads, this.headDim]);
    };
    const rotate = (t: Tensor): Tensor => {
      if (!this.options.rotary) return t;
      const attrs = { theta: this.options.ropeTheta, rotaryDims: dim, inverse: false };
      return t.like(rope(trace.b, t.id, sequence.positions.id, attrs));
    };
    const q = rotate(part(0, this.heads));
    const k = rotate(part(this.heads.size, this.kvHeads));
    const v = part(this.heads.size + this.kvHeads.size, this.kvHeads);
    const scale = 1 / Math.sqrt(dim);
    const options = { causal: true, window: 0, scale, compute: trace.compute };
    const mixed = attend(this.path, { q, k, v }, options, sequence);
    return this.proj.call(mixed.merge(["head", "head_dim"], "n_attn"));
  }
}
