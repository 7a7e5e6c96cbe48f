/**
 * @file The Qwen family: 2 and 2.5 (biases on queries, keys and values) and 3 (norms of query and key heads, a head width of its
 * own), with sliding windows in the layers that config.json names.
 */
import { field, type Values } from "../../config/field.ts";
import { enumOf, int, nullable } from "../../config/schema.ts";
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
import { LLAMA_NAMES } from "../llama/names.ts";

const config = {
  generation: field(
    "architecture/generation",
    enumOf(["qwen2", "qwen3"]),
    "qwen3",
    "qwen2: biases on queries, keys and values; qwen3: norms of query and key heads instead",
  ),
  ...sizeFields,
  ...groupedFields,
  ...feedForwardField("8/3 n_embd, up to a multiple of 32"),
  ...thetaField(1_000_000),
  ...normField(1e-6),
  ...tieField(true),
  window: field(
    "architecture/sliding_window",
    nullable(int({ min: 1 })),
    null,
    "tokens that a token sees, in the layers with a window; null: no layer has one",
  ),
  fullLayers: field(
    "architecture/max_window_layers",
    int({ min: 0 }),
    0,
    "first layers, which see everything",
  ),
};

const form: FamilyForm = {
  names: LLAMA_NAMES,
  ignored: /rotary_emb\.inv_freq$/,
  prefix: "model.",
};

/** The window of each layer; null: it sees everything. */
function windowsOf(json: ConfigJson, nLayer: number): (number | null)[] {
  const used = json.flag("use_sliding_window", false);
  const window = used ? json.size("sliding_window", 4096) : null;
  if (!json.has("layer_types")) {
    const first = json.values.max_window_layers === 0 ? 0 : json.size("max_window_layers", 28);
    return Array.from({ length: nLayer }, (_, layer) => (layer >= first ? window : null));
  }
  const { layer_types: types } = json.values;
  const kinds: readonly unknown[] = Array.isArray(types) ? types : [];
  const known = (kind: unknown) =>
    kind === "full_attention" || (kind === "sliding_attention" && window !== null);
  if (kinds.length !== nLayer || !kinds.every(known))
    json.fail(
      "layer_types",
      `${nLayer} of full_attention or, with use_sliding_window, sliding_attention`,
    );
  return kinds.map((kind) => (kind === "sliding_attention" ? window : null));
}

function shapeOf(json: ConfigJson, { blockSize }: BuildOptions): DecoderOptions {
  const third = json.choice("model_type", "", { qwen2: false, qwen3: true });
  const nEmbd = json.size("hidden_size");
  const nLayer = json.size("num_hidden_layers");
  const nHead = json.size("num_attention_heads");
  const headDim = json.size("head_dim", third ? 128 : Math.floor(nEmbd / nHead));
  const longest = json.size("max_position_embeddings", 32768);
  const inits = initsOf(json, nLayer);
  const normEps = json.positive("rms_norm_eps", 1e-6);
  const bias = third ? json.flag("attention_bias", false) : true;
  return {
    ...{ nEmbd, nLayer, positionTable: null, init: inits.init },
    vocabSize: json.size("vocab_size"),
    blockSize: blockSize ?? longest,
    tieEmbeddings: json.flag("tie_word_embeddings", false),
    windows: windowsOf(json, nLayer),
    block: {
      attention: {
        ...{ nHead, headDim, bias, projBias: third && bias, ...inits },
        nKvHead: json.size("num_key_value_heads", third ? nHead : Math.min(nHead, 32)),
        qkNormEps: third ? normEps : null,
        rotary: rotaryOf(json, headDim, longest),
        ...{ qkv: "separate", order: "out_in" },
      },
      mlp: {
        ...{ ffMult: 1, glu: true, bias: false, order: "out_in", ...inits },
        ffWidth: json.size("intermediate_size"),
        activation: json.choice("hidden_act", "silu", ACTIVATIONS),
      },
      norm: { norm: "rms", normEps, bias: false },
      dropout: { dropout: 0 },
    },
  };
}

export class Qwen extends HuggingFaceModel {
  static readonly config = config;
  static readonly modelTypes = ["qwen2", "qwen3"];

  override readonly family = "qwen";

  constructor(json: ConfigJson, options: BuildOptions = {}) {
    super(json, shapeOf(json, options), form);
  }

  static configJson(options: Values<typeof config>): JsonObject {
    const { generation, nEmbd, nHead, nLayer, window, fullLayers } = options;
    const headDim = options.headDim ?? Math.floor(nEmbd / nHead);
    const third = generation === "qwen3";
    const kind = (layer: number) =>
      window !== null && layer >= fullLayers ? "sliding_attention" : "full_attention";
    return {
      architectures: [third ? "Qwen3ForCausalLM" : "Qwen2ForCausalLM"],
      model_type: generation,
      ...(third ? { attention_bias: false } : {}),
      attention_dropout: 0,
      head_dim: headDim,
      hidden_act: "silu",
      hidden_size: nEmbd,
      initializer_range: 0.02,
      intermediate_size: options.ffWidth ?? gatedWidth(nEmbd),
      layer_types: Array.from({ length: nLayer }, (_, layer) => kind(layer)),
      max_position_embeddings: options.blockSize,
      max_window_layers: window === null ? nLayer : fullLayers,
      num_attention_heads: nHead,
      num_hidden_layers: nLayer,
      num_key_value_heads: options.nKvHead ?? nHead,
      rms_norm_eps: options.normEps,
      ...plainRopeJson(options.ropeTheta),
      sliding_window: window,
      tie_word_embeddings: options.tieEmbeddings,
      use_sliding_window: window !== null,
      vocab_size: options.vocabSize,
    };
  }

  /** A model to train from scratch. */
  static from(options: Values<typeof config>): Qwen {
    return new Qwen(new ConfigJson(Qwen.configJson(options), "the configuration"));
  }
}
