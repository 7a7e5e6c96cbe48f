/** @file What training and generation ask of a model: hidden states, the loss of next tokens, and logits. */
import type { Module } from "./module.ts";
import type { Sequence } from "./sequence.ts";
import type { Tensor } from "./tensor.ts";
import type { TokenLoss } from "./token_loss.ts";

export interface LanguageModel extends Module {
  /** Longest sequence it takes. */
  readonly blockSize: number;
  readonly vocabSize: number;
  /** Final hidden states [batch, seq, width] of token ids i32 [batch, seq]. */
  forward(ids: Tensor, sequence?: Sequence): Tensor;
  /** Summed loss of `targets` i32 [batch, seq], -1 = masked. */
  loss(ids: Tensor, targets: Tensor, sequence?: Sequence): TokenLoss;
  /** Logits [..., vocab] of hidden states [..., width]. */
  logits(hidden: Tensor): Tensor;
  /** Floating-point operations of one trained token. */
  flopsPerToken(): number;
}
