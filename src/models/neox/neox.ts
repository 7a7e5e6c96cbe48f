/**
 * @file GPT-NeoX and Pythia: attention and feed-forward part side by side, rotary positions on a part of each head, and one matrix that
 * holds query, key and value head by head.
 */
import { field, type Values } from "../../config/field.ts";
import { bool, float } from "../../config/schema.ts";
import { Dropout } from "../../nn/dropout.ts";
import type { DecoderOptions } from "../decoder/decoder.ts";
import {
  feedForwardField,
  normField,
  sizeFields,
  thetaField,
  tieField,
} from "../decoder/fields.ts";
import { ConfigJson, type JsonObject } from "../exchange/config_json.ts";
import { ACTIVATIONS, initsOf } from "../exchange/decoder_json.ts";
import { type BuildOptions, type FamilyForm, HuggingFaceModel } from "../exchange/hugging_face.ts";
import { rotaryOf } from "../exchange/rope_json.ts";
import { TensorNames } from "../exchange/tensor_names.ts";

const config = {
  ...sizeFields,
  ...feedForwardField("4 n_embd"),
  ...thetaField(10000),
  rotaryShare: field(
    "architecture/rotary_share",
    float({ above: 0, max: 1 }),
    0.25,
    "share of each head that turns with the position",
  ),
  parallel: field(
    "architecture/parallel_residual",
    bool(),
    true,
    "attention and feed-forward part both read a block's input",
  ),
  ...normField(1e-5),
  ...tieField(false),
  ...Dropout.config,
};

const form: FamilyForm = {
  names: new TensorNames({
    wte: "gpt_neox.embed_in",
    "blocks.#.attn_norm": "gpt_neox.layers.#.input_layernorm",
    "blocks.#.attn.qkv": "gpt_neox.layers.#.attention.query_key_value",
    "blocks.#.attn.proj": "gpt_neox.layers.#.attention.dense",
    "blocks.#.mlp_norm": "gpt_neox.layers.#.post_attention_layernorm",
    "blocks.#.mlp.up": "gpt_neox.layers.#.mlp.dense_h_to_4h",
    "blocks.#.mlp.down": "gpt_neox.layers.#.mlp.dense_4h_to_h",
    norm: "gpt_neox.final_layer_norm",
    head: "embed_out.weight",
  }),
  ignored: /\.attention\.(bias|masked_bias)$|rotary_emb\.inv_freq$/,
  prefix: "gpt_neox.",
};

function shapeOf(json: ConfigJson, options: BuildOptions): DecoderOptions {
  const nEmbd = json.size("hidden_size");
  const nLayer = json.size("num_hidden_layers");
  const nHead = json.size("num_attention_heads");
  if (nEmbd % nHead !== 0) json.fail("num_attention_heads", `a divisor of hidden_size ${nEmbd}`);
  const longest = json.size("max_position_embeddings", 2048);
  const inits = initsOf(json, nLayer);
  const rope = { theta: "rotary_emb_base", share: "rotary_pct", defaultShare: 0.25 };
  return {
    ...{ nEmbd, nLayer, positionTable: null, init: inits.init },
    vocabSize: json.size("vocab_size"),
    blockSize: options.blockSize ?? longest,
    tieEmbeddings: json.flag("tie_word_embeddings", false),
    block: {
      attention: {
        ...{ nHead, bias: json.flag("attention_bias", true), ...inits },
        rotary: rotaryOf(json, nEmbd / nHead, longest, rope),
        ...{ qkv: "per_head", order: "out_in" },
      },
      mlp: {
        ...{ ffMult: 4, glu: false, bias: true, order: "out_in", ...inits },
        ffWidth: json.size("intermediate_size"),
        activation: json.choice("hidden_act", "gelu", ACTIVATIONS),
      },
      norm: { norm: "layer", normEps: json.positive("layer_norm_eps", 1e-5), bias: true },
      dropout: { dropout: options.dropout ?? 0 },
      parallel: json.flag("use_parallel_residual", true),
    },
  };
}

export class Neox extends HuggingFaceModel {
  static readonly config = config;
  static readonly modelTypes = ["gpt_neox"];

  override readonly family = "neox";

  constructor(json: ConfigJson, options: BuildOptions = {}) {
    super(json, shapeOf(json, options), form);
  }

  static configJson(options: Values<typeof config>): JsonObject {
    return {
      architectures: ["GPTNeoXForCausalLM"],
      model_type: "gpt_neox",
      attention_bias: true,
      attention_dropout: 0,
      hidden_act: "gelu",
      hidden_dropout: options.dropout,
      hidden_size: options.nEmbd,
      initializer_range: 0.02,
      intermediate_size: options.ffWidth ?? 4 * options.nEmbd,
      layer_norm_eps: options.normEps,
      max_position_embeddings: options.blockSize,
      num_attention_heads: options.nHead,
      num_hidden_layers: options.nLayer,
      rotary_emb_base: options.ropeTheta,
      rotary_pct: options.rotaryShare,
      tie_word_embeddings: options.tieEmbeddings,
      use_parallel_residual: options.parallel,
      vocab_size: options.vocabSize,
    };
  }

  /** A model to train from scratch. */
  static from(options: Values<typeof config>): Neox {
    const json = new ConfigJson(Neox.configJson(options), "the configuration");
    return new Neox(json, { dropout: options.dropout });
  }
}
