/** @file One transformer block, pre-norm: x + attn(norm(x)), then x + mlp(norm(x)). */
import { Attention, type AttentionOptions } from "../../nn/attention.ts";
import type { Axis } from "../../nn/axis.ts";
import { Dropout, type DropoutOptions } from "../../nn/dropout.ts";
import { Mlp, type MlpOptions } from "../../nn/mlp.ts";
import { Module } from "../../nn/module.ts";
import { Norm, type NormOptions } from "../../nn/norm.ts";
import type { Sequence } from "../../nn/sequence.ts";
import type { Tensor } from "../../nn/tensor.ts";

export type BlockOptions = AttentionOptions & MlpOptions & NormOptions & DropoutOptions;

/** What mixes positions in a block: reads and writes [batch, seq, width]. */
export interface Mixer extends Module {
  forward(x: Tensor, sequence: Sequence): Tensor;
}

/** Parts that a variant of the family exchanges. */
export interface BlockParts {
  readonly attention?: (width: Axis, options: AttentionOptions) => Mixer;
}

export class Block extends Module {
  static readonly uses = [Attention, Mlp, Norm, Dropout];
  readonly attnNorm: Norm;
  readonly attn: Mixer;
  readonly mlpNorm: Norm;
  readonly mlp: Mlp;
  readonly attnDrop: Dropout;
  readonly mlpDrop: Dropout;

  constructor(width: Axis, options: BlockOptions, parts: BlockParts = {}) {
    super();
    const attention = parts.attention ?? ((w: Axis, o: AttentionOptions) => new Attention(w, o));
    this.attnNorm = this.child("attn_norm", () => new Norm(width, options));
    this.attn = this.child("attn", () => attention(width, options));
    this.attnDrop = this.child("attn_drop", () => new Dropout(options));
    this.mlpNorm = this.child("mlp_norm", () => new Norm(width, options));
    this.mlp = this.child("mlp", () => new Mlp(width, options));
    this.mlpDrop = this.child("mlp_drop", () => new Dropout(options));
  }

  override forward(x: Tensor, sequence: Sequence): Tensor {
    const attended = this.attn.call(this.attnNorm.call(x), sequence);
    const middle = x.add(this.attnDrop.call(attended));
    const fed = this.mlp.call(this.mlpNorm.call(middle));
    return middle.add(this.mlpDrop.call(fed));
  }
}
