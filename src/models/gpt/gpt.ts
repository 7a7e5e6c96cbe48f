/**
 * @file The GPT family: pre-norm transformer decoders. Settings span GPT-2 (learned positions, biases, LayerNorm, GELU, tied
 * embeddings) to the Llama style (rotary, no biases, RMSNorm, gated SiLU, grouped heads).
 */
import { field, type Values } from "../../config/field.ts";
import { bool, enumOf, int } from "../../config/schema.ts";
import { type Axis, axis } from "../../nn/axis.ts";
import { Dropout } from "../../nn/dropout.ts";
import { Embedding } from "../../nn/embedding.ts";
import { init } from "../../nn/init.ts";
import type { LanguageModel } from "../../nn/language_model.ts";
import { Module } from "../../nn/module.ts";
import { Norm } from "../../nn/norm.ts";
import type { Param } from "../../nn/param.ts";
import { type Sequence, wholeRows } from "../../nn/sequence.ts";
import type { Tensor } from "../../nn/tensor.ts";
import { type TokenLoss, tokenLoss } from "../../nn/token_loss.ts";
import { Block, type BlockOptions, type BlockParts } from "./block.ts";

const config = {
  nLayer: field("architecture/n_layer", int({ min: 1 }), 6, "transformer blocks"),
  nEmbd: field("architecture/n_embd", int({ min: 1 }), 384, "width of the residual stream"),
  blockSize: field("architecture/block_size", int({ min: 1 }), 256, "context length in tokens"),
  vocabSize: field("architecture/vocab_size", int({ min: 1 }), 256, "entries of the embedding"),
  positions: field(
    "architecture/positions",
    enumOf(["learned", "rotary"]),
    "learned",
    "how a token knows its position",
  ),
  bias: field("architecture/bias", bool(), true, "biases in linear layers and LayerNorms"),
  tieEmbeddings: field(
    "architecture/tie_embeddings",
    bool(),
    true,
    "one matrix embeds tokens and predicts them",
  ),
};

type OwnOptions = Values<typeof config>;
export type GptOptions = OwnOptions & Omit<BlockOptions, "rotary" | "init" | "residualInit">;

const INIT_STD = 0.02;

export class Gpt extends Module implements LanguageModel {
  static readonly config = config;
  static readonly uses = [Block];
  readonly options: GptOptions;
  readonly width: Axis;
  readonly vocab: Axis;
  readonly wte: Embedding;
  readonly wpe: Embedding | undefined;
  readonly drop: Dropout;
  readonly blocks: readonly Block[];
  readonly norm: Norm;
  /** [vocab, n_embd]. */
  readonly head: Param;

  constructor(options: GptOptions, parts: BlockParts = {}) {
    super();
    this.options = options;
    this.width = axis("n_embd", options.nEmbd);
    this.vocab = axis("vocab", options.vocabSize);
    const positions = axis("position", options.blockSize);
    const rotary = options.positions === "rotary";
    // The residual stream sums 2 n_layer projections: this keeps its variance at the start (GPT-2).
    const residualInit = init.normal(INIT_STD / Math.sqrt(2 * options.nLayer));
    const inner: BlockOptions = { ...options, rotary, init: init.normal(INIT_STD), residualInit };
    const table = (entries: Axis) => new Embedding(entries, this.width, init.normal(INIT_STD));
    this.wte = this.child("wte", () => table(this.vocab));
    this.wpe = rotary ? undefined : this.child("wpe", () => table(positions));
    this.drop = this.child("drop", () => new Dropout(options));
    const block = () => new Block(this.width, inner, parts);
    this.blocks = this.childList("blocks", options.nLayer, block);
    this.norm = this.child("norm", () => new Norm(this.width, options));
    this.head = options.tieEmbeddings
      ? this.wte.weight
      : this.param("head", [this.vocab, this.width], init.normal(INIT_STD));
  }

  get blockSize(): number {
    return this.options.blockSize;
  }

  get vocabSize(): number {
    return this.options.vocabSize;
  }

  /** Final hidden states [batch, seq, n_embd] of token ids [batch, seq]. */
  override forward(ids: Tensor, given?: Sequence): Tensor {
    const seq = ids.axis("seq");
    if (seq.size > this.options.blockSize)
      this.fail(`${seq.size} tokens do not fit block_size ${this.options.blockSize}`);
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
    const { nLayer, nEmbd, blockSize, tieEmbeddings } = this.options;
    const all = this.parameters().reduce((n, p) => n + p.count, 0);
    const lookedUp = [this.wpe?.weight, tieEmbeddings ? undefined : this.wte.weight];
    const multiplied = all - lookedUp.reduce((n, p) => n + (p?.count ?? 0), 0);
    return 6 * multiplied + 12 * nLayer * nEmbd * blockSize;
  }
}
