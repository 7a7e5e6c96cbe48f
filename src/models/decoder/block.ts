/**
 * @file One pre-norm transformer block: x + attn(norm(x)), then x + mlp(norm(x)); or, in parallel, x + attn(norm(x)) + mlp(norm(x)),
 * each with a norm of its own.
 */
import { Attention, type AttentionOptions } from "../../nn/attention.ts";
import type { Axis } from "../../nn/axis.ts";
import { Dropout, type DropoutOptions } from "../../nn/dropout.ts";
import { Mlp, type MlpOptions } from "../../nn/mlp.ts";
import { Module } from "../../nn/module.ts";
import { Norm, type NormOptions } from "../../nn/norm.ts";
import type { Sequence } from "../../nn/sequence.ts";
import type { Tensor } from "../../nn/tensor.ts";

export interface BlockOptions {
  readonly attention: AttentionOptions;
  readonly mlp: MlpOptions;
  readonly norm: NormOptions;
  readonly dropout: DropoutOptions;
  /** Attention and feed-forward part both read the block's input. Default: false. */
  readonly parallel?: boolean;
}

/** What mixes positions in a block: reads and writes [batch, seq, width]. */
export interface Mixer extends Module {
  forward(x: Tensor, sequence: Sequence): Tensor;
}

/** Parts that a variant of the family exchanges. */
export interface BlockParts {
  readonly attention?: (width: Axis, options: AttentionOptions) => Mixer;
}

export class Block extends Module {
  readonly attnNorm: Norm;
  readonly attn: Mixer;
  readonly mlpNorm: Norm;
  readonly mlp: Mlp;
  readonly attnDrop: Dropout;
  readonly mlpDrop: Dropout;
  private readonly parallel: boolean;

  constructor(width: Axis, options: BlockOptions, parts: BlockParts = {}) {
    super();
    const { norm, dropout, parallel = false } = options;
    this.parallel = parallel;
    const attention = parts.attention ?? ((w: Axis, o: AttentionOptions) => new Attention(w, o));
    this.attnNorm = this.child("attn_norm", () => new Norm(width, norm));
    this.attn = this.child("attn", () => attention(width, options.attention));
    this.attnDrop = this.child("attn_drop", () => new Dropout(dropout));
    this.mlpNorm = this.child("mlp_norm", () => new Norm(width, norm));
    this.mlp = this.child("mlp", () => new Mlp(width, options.mlp));
    this.mlpDrop = this.child("mlp_drop", () => new Dropout(dropout));
  }

  override forward(x: Tensor, sequence: Sequence): Tensor {
    const attended = this.attn.call(this.attnNorm.call(x), sequence);
    const middle = x.add(this.attnDrop.call(attended));
    const fed = this.mlp.call(this.mlpNorm.call(this.parallel ? x : middle));
    return middle.add(this.mlpDrop.call(fed));
  }
}
