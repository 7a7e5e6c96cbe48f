/**
 * @file The decoder that all families are: embedding, blocks, a last norm, a head. A family says how its settings become these
 * options, and what its tensors are called elsewhere.
 */
import { type Axis, axis } from "../../nn/axis.ts";
import { Dropout } from "../../nn/dropout.ts";
import { Embedding } from "../../nn/embedding.ts";
import type { Init } from "../../nn/init.ts";
import type { LanguageModel } from "../../nn/language_model.ts";
import { Module } from "../../nn/module.ts";
import { Norm } from "../../nn/norm.ts";
import type { Param } from "../../nn/param.ts";
import { type Sequence, wholeRows } from "../../nn/sequence.ts";
import type { Tensor } from "../../nn/tensor.ts";
import { type TokenLoss, tokenLoss } from "../../nn/token_loss.ts";
import { Block, type BlockOptions, type BlockParts } from "./block.ts";

export interface DecoderOptions {
  readonly nLayer: number;
  readonly nEmbd: number;
  readonly vocabSize: number;
  /** Longest row of tokens that it is trained on or asked for. */
  readonly blockSize: number;
  /** Entries of a table of learned positions; null: there is none. */
  readonly positionTable: number | null;
  readonly tieEmbeddings: boolean;
  readonly init: Init;
  /** All that blocks have in common. */
  readonly block: BlockOptions;
  /** Attention windows by block, where they differ from `block.attention.window`. */
  readonly windows?: readonly (number | null)[];
}

export class Decoder extends Module implements LanguageModel {
  readonly shape: DecoderOptions;
  readonly width: Axis;
  readonly vocab: Axis;
  readonly wte: Embedding;
  readonly wpe: Embedding | undefined;
  readonly drop: Dropout;
  readonly blocks: readonly Block[];
  readonly norm: Norm;
  /** [vocab, n_embd]. */
  readonly head: Param;

  constructor(shape: DecoderOptions, parts: BlockParts = {}) {
    super();
    this.shape = shape;
    const { block, init, positionTable } = shape;
    this.width = axis("n_embd", shape.nEmbd);
    this.vocab = axis("vocab", shape.vocabSize);
    const table = (entries: Axis) => new Embedding(entries, this.width, init);
    const learned = (entries: number) => this.child("wpe", () => table(axis("position", entries)));
    this.wte = this.child("wte", () => table(this.vocab));
    this.wpe = positionTable === null ? undefined : learned(positionTable);
    this.drop = this.child("drop", () => new Dropout(block.dropout));
    this.blocks = this.childList("blocks", shape.nLayer, (layer) => {
      const window = shape.windows?.[layer] ?? block.attention.window ?? null;
      return new Block(this.width, { ...block, attention: { ...block.attention, window } }, parts);
    });
    this.norm = this.child("norm", () => new Norm(this.width, block.norm));
    this.head = shape.tieEmbeddings
      ? this.wte.weight
      : this.param("head", [this.vocab, this.width], init);
  }

  get blockSize(): number {
    return this.shape.blockSize;
  }

  get vocabSize(): number {
    return this.shape.vocabSize;
  }

  /** Final hidden states [batch, seq, n_embd] of token ids [batch, seq]. */
  override forward(ids: Tensor, given?: Sequence): Tensor {
    const seq = ids.axis("seq");
    if (seq.size > this.blockSize)
      this.fail(`${seq.size} tokens do not fit block_size ${this.blockSize}`);
    const sequence = given ?? wholeRows(ids);
    let x = this.wte.call(ids);
    if (this.wpe !== undefined) x = x.add(this.learnedPositions(this.wpe, ids, given));
    x = this.drop.call(x);
    for (const block of this.blocks) x = block.call(x, sequence);
    return this.norm.call(x);
  }

  /** Rows that are one document each read the first entries of the table as they stand. */
  private learnedPositions(table: Embedding, ids: Tensor, given?: Sequence): Tensor {
    if (given !== undefined) return table.call(given.positions);
    return ids.trace.param(table.weight).slice("position", 0, ids.axis("seq"));
  }

  /** Summed loss of predicting `targets` (i32, -1 = masked). */
  loss(ids: Tensor, targets: Tensor, sequence?: Sequence): TokenLoss {
    const hidden = this.forward(ids, sequence);
    return ids.trace.b.within("loss", () => tokenLoss(hidden, this.head, targets));
  }

  /** Logits [..., vocab] of hidden states [..., n_embd]. */
  logits(x: Tensor): Tensor {
    return x.dot(this.head, this.width.name);
  }

  /** Floating-point operations of one trained token, by PaLM's count: 6 N + 12 L C T, lookups being free. */
  flopsPerToken(): number {
    const { nLayer, nEmbd, blockSize, tieEmbeddings, block } = this.shape;
    const all = this.parameters().reduce((n, p) => n + p.count, 0);
    const lookedUp = [this.wpe?.weight, tieEmbeddings ? undefined : this.wte.weight];
    const multiplied = all - lookedUp.reduce((n, p) => n + (p?.count ?? 0), 0);
    const { headDim = null, nHead } = block.attention;
    const attended = headDim === null ? nEmbd : headDim * nHead;
    return 6 * multiplied + 12 * nLayer * attended * blockSize;
  }
}
