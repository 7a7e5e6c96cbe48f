/** @file GPT-2: learned positions, LayerNorm, GELU, biases everywhere, matrices stored input first (Conv1D). */
import type { Values } from "../../config/field.ts";
import { Dropout } from "../../nn/dropout.ts";
import type { DecoderOptions } from "../decoder/decoder.ts";
import { feedForwardField, normField, sizeFields, tieField } from "../decoder/fields.ts";
import { ConfigJson, type JsonObject } from "../exchange/config_json.ts";
import { ACTIVATIONS, initsOf } from "../exchange/decoder_json.ts";
import { type BuildOptions, type FamilyForm, HuggingFaceModel } from "../exchange/hugging_face.ts";
import { TensorNames } from "../exchange/tensor_names.ts";

const config = {
  ...sizeFields,
  ...feedForwardField("4 n_embd"),
  ...normField(1e-5),
  ...tieField(true),
  ...Dropout.config,
};

const form: FamilyForm = {
  names: new TensorNames({
    wte: "transformer.wte",
    wpe: "transformer.wpe",
    "blocks.#.attn_norm": "transformer.h.#.ln_1",
    "blocks.#.attn.qkv": "transformer.h.#.attn.c_attn",
    "blocks.#.attn.proj": "transformer.h.#.attn.c_proj",
    "blocks.#.mlp_norm": "transformer.h.#.ln_2",
    "blocks.#.mlp.up": "transformer.h.#.mlp.c_fc",
    "blocks.#.mlp.down": "transformer.h.#.mlp.c_proj",
    norm: "transformer.ln_f",
    head: "lm_head.weight",
  }),
  ignored: /\.attn\.(bias|masked_bias)$/,
  prefix: "transformer.",
};

function shapeOf(json: ConfigJson, options: BuildOptions): DecoderOptions {
  json.refuse("scale_attn_weights", true);
  json.refuse("scale_attn_by_inverse_layer_idx", false);
  json.refuse("add_cross_attention", false);
  const nEmbd = json.size("n_embd");
  const nLayer = json.size("n_layer");
  const positions = json.size("n_positions", 1024);
  const blockSize = options.blockSize ?? positions;
  if (blockSize > positions) json.fail("n_positions", `at least the ${blockSize} tokens of a row`);
  const inits = initsOf(json, nLayer);
  return {
    ...{ nEmbd, nLayer, blockSize, positionTable: positions, init: inits.init },
    vocabSize: json.size("vocab_size"),
    tieEmbeddings: json.flag("tie_word_embeddings", true),
    block: {
      attention: { nHead: json.size("n_head"), rotary: null, bias: true, ...inits },
      mlp: {
        ...{ ffMult: 4, glu: false, bias: true, ...inits },
        ffWidth: json.sizeOrNull("n_inner"),
        activation: json.choice("activation_function", "gelu_new", ACTIVATIONS),
      },
      norm: { norm: "layer", normEps: json.positive("layer_norm_epsilon", 1e-5), bias: true },
      dropout: { dropout: options.dropout ?? 0 },
    },
  };
}

export class Gpt2 extends HuggingFaceModel {
  static readonly config = config;
  static readonly modelTypes = ["gpt2"];

  override readonly family = "gpt2";

  constructor(json: ConfigJson, options: BuildOptions = {}) {
    super(json, shapeOf(json, options), form);
  }

  static configJson(options: Values<typeof config>): JsonObject {
    return {
      architectures: ["GPT2LMHeadModel"],
      model_type: "gpt2",
      activation_function: "gelu_new",
      attn_pdrop: 0,
      embd_pdrop: options.dropout,
      initializer_range: 0.02,
      layer_norm_epsilon: options.normEps,
      n_embd: options.nEmbd,
      n_head: options.nHead,
      n_inner: options.ffWidth,
      n_layer: options.nLayer,
      n_positions: options.blockSize,
      resid_pdrop: options.dropout,
      tie_word_embeddings: options.tieEmbeddings,
      vocab_size: options.vocabSize,
    };
  }

  /** A model to train from scratch. */
  static from(options: Values<typeof config>): Gpt2 {
    const json = new ConfigJson(Gpt2.configJson(options), "the configuration");
    return new Gpt2(json, { dropout: options.dropout });
  }
}
