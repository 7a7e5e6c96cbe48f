/** @file The Llama family, 1 to 3: RMSNorm, rotary positions with the scalings of longer contexts, grouped heads, gated SiLU. */
import { field, type Values } from "../../config/field.ts";
import { bool } from "../../config/schema.ts";
import type { DecoderOptions } from "../decoder/decoder.ts";
import {
  feedForwardField,
  gatedWidth,
  groupedFields,
  normField,
  sizeFields,
  thetaField,
  tieField,
} from "../decoder/fields.ts";
import { ConfigJson, type JsonObject } from "../exchange/config_json.ts";
import { ACTIVATIONS, initsOf } from "../exchange/decoder_json.ts";
import { type BuildOptions, type FamilyForm, HuggingFaceModel } from "../exchange/hugging_face.ts";
import { plainRopeJson, rotaryOf } from "../exchange/rope_json.ts";
import { LLAMA_NAMES } from "./names.ts";

const config = {
  ...sizeFields,
  ...groupedFields,
  ...feedForwardField("8/3 n_embd, up to a multiple of 32"),
  ...thetaField(10000),
  ...normField(1e-5),
  ...tieField(false),
  attentionBias: field(
    "architecture/attention_bias",
    bool(),
    false,
    "biases in the projections of attention",
  ),
  mlpBias: field("architecture/mlp_bias", bool(), false, "biases in the feed-forward part"),
};

const form: FamilyForm = {
  names: LLAMA_NAMES,
  ignored: /rotary_emb\.inv_freq$/,
  prefix: "model.",
};

function shapeOf(json: ConfigJson, { blockSize }: BuildOptions): DecoderOptions {
  json.refuse("pretraining_tp", 1);
  const nEmbd = json.size("hidden_size");
  const nLayer = json.size("num_hidden_layers");
  const nHead = json.size("num_attention_heads");
  const headDim = json.size("head_dim", Math.floor(nEmbd / nHead));
  const longest = json.size("max_position_embeddings", 2048);
  const inits = initsOf(json, nLayer);
  const attentionBias = json.flag("attention_bias", false);
  return {
    ...{ nEmbd, nLayer, positionTable: null, init: inits.init },
    vocabSize: json.size("vocab_size"),
    blockSize: blockSize ?? longest,
    tieEmbeddings: json.flag("tie_word_embeddings", false),
    block: {
      attention: {
        ...{ nHead, headDim, bias: attentionBias, ...inits },
        nKvHead: json.size("num_key_value_heads", nHead),
        rotary: rotaryOf(json, headDim, longest),
        ...{ qkv: "separate", order: "out_in" },
      },
      mlp: {
        ...{ ffMult: 1, glu: true, order: "out_in", ...inits },
        ffWidth: json.size("intermediate_size"),
        activation: json.choice("hidden_act", "silu", ACTIVATIONS),
        bias: json.flag("mlp_bias", false),
      },
      norm: { norm: "rms", normEps: json.positive("rms_norm_eps", 1e-6), bias: false },
      dropout: { dropout: 0 },
    },
  };
}

export class Llama extends HuggingFaceModel {
  static readonly config = config;
  static readonly modelTypes = ["llama"];

  override readonly family = "llama";

  constructor(json: ConfigJson, options: BuildOptions = {}) {
    super(json, shapeOf(json, options), form);
  }

  static configJson(options: Values<typeof config>): JsonObject {
    const { nEmbd, nHead } = options;
    return {
      architectures: ["LlamaForCausalLM"],
      model_type: "llama",
      attention_bias: options.attentionBias,
      attention_dropout: 0,
      head_dim: options.headDim ?? Math.floor(nEmbd / nHead),
      hidden_act: "silu",
      hidden_size: nEmbd,
      initializer_range: 0.02,
      intermediate_size: options.ffWidth ?? gatedWidth(nEmbd),
      max_position_embeddings: options.blockSize,
      mlp_bias: options.mlpBias,
      num_attention_heads: nHead,
      num_hidden_layers: options.nLayer,
      num_key_value_heads: options.nKvHead ?? nHead,
      rms_norm_eps: options.normEps,
      ...plainRopeJson(options.ropeTheta),
      tie_word_embeddings: options.tieEmbeddings,
      vocab_size: options.vocabSize,
    };
  }

  /** A model to train from scratch. */
  static from(options: Values<typeof config>): Llama {
    return new Llama(new ConfigJson(Llama.configJson(options), "the configuration"));
  }
}
