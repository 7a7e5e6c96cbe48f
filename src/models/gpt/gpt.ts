/**
 * @file The GPT family, for training from scratch: settings span GPT-2 (learned positions, biases, LayerNorm, GELU, tied
 * embeddings) to the Llama style (rotary, no biases, RMSNorm, gated SiLU, grouped heads). Its checkpoints have names of their own.
 */
import { field, type Values } from "../../config/field.ts";
import { bool, enumOf, int } from "../../config/schema.ts";
import { Attention } from "../../nn/attention.ts";
import { Dropout } from "../../nn/dropout.ts";
import { init } from "../../nn/init.ts";
import { Mlp } from "../../nn/mlp.ts";
import { Norm } from "../../nn/norm.ts";
import type { BlockParts } from "../decoder/block.ts";
import { Decoder, type DecoderOptions } from "../decoder/decoder.ts";

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

export type GptOptions = Values<typeof config> &
  Values<typeof Attention.config> &
  Values<typeof Mlp.config> &
  Values<typeof Norm.config> &
  Values<typeof Dropout.config>;

const INIT_STD = 0.02;

function decoderOptions(options: GptOptions): DecoderOptions {
  const { nLayer, nEmbd, vocabSize, blockSize, tieEmbeddings, bias, positions } = options;
  // The residual stream sums 2 n_layer projections: this keeps its variance at the start (GPT-2).
  const residualInit = init.normal(INIT_STD / Math.sqrt(2 * nLayer));
  const matrices = { bias, init: init.normal(INIT_STD), residualInit };
  const { nHead, nKvHead, ropeTheta, ffMult, ffWidth, activation, glu } = options;
  const learned = positions === "learned";
  return {
    ...{ nLayer, nEmbd, vocabSize, blockSize, tieEmbeddings, init: init.normal(INIT_STD) },
    positionTable: learned ? blockSize : null,
    block: {
      attention: {
        ...{ nHead, nKvHead, ...matrices },
        rotary: learned ? null : { theta: ropeTheta },
      },
      mlp: { ffMult, ffWidth, activation, glu, ...matrices },
      norm: { norm: options.norm, normEps: options.normEps, bias },
      dropout: { dropout: options.dropout },
    },
  };
}

export class Gpt extends Decoder {
  static readonly config = config;
  static readonly uses = [Attention, Mlp, Norm, Dropout];
  readonly options: GptOptions;

  constructor(options: GptOptions, parts: BlockParts = {}) {
    super(decoderOptions(options), parts);
    this.options = options;
  }
}
