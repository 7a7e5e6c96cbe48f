/** @file Tensor names of Llama, which Qwen shares. */
import { TensorNames } from "../exchange/tensor_names.ts";

export const LLAMA_NAMES = new TensorNames({
  wte: "model.embed_tokens",
  "blocks.#.attn_norm": "model.layers.#.input_layernorm",
  "blocks.#.attn.q": "model.layers.#.self_attn.q_proj",
  "blocks.#.attn.k": "model.layers.#.self_attn.k_proj",
  "blocks.#.attn.v": "model.layers.#.self_attn.v_proj",
  "blocks.#.attn.q_norm": "model.layers.#.self_attn.q_norm",
  "blocks.#.attn.k_norm": "model.layers.#.self_attn.k_norm",
  "blocks.#.attn.proj": "model.layers.#.self_attn.o_proj",
  "blocks.#.mlp_norm": "model.layers.#.post_attention_layernorm",
  "blocks.#.mlp.gate": "model.layers.#.mlp.gate_proj",
  "blocks.#.mlp.up": "model.layers.#.mlp.up_proj",
  "blocks.#.mlp.down": "model.layers.#.mlp.down_proj",
  norm: "model.norm",
  head: "lm_head.weight",
});
