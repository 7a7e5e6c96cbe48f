/** @file Settings that the families have in common, for models that are trained from scratch. */
import { field } from "../../config/field.ts";
import { bool, float, int, nullable } from "../../config/schema.ts";

export const sizeFields = {
  nLayer: field("architecture/n_layer", int({ min: 1 }), 6, "transformer blocks"),
  nEmbd: field("architecture/n_embd", int({ min: 1 }), 384, "width of the residual stream"),
  nHead: field("architecture/n_head", int({ min: 1 }), 6, "attention heads"),
  blockSize: field("architecture/block_size", int({ min: 1 }), 256, "context length in tokens"),
  vocabSize: field("architecture/vocab_size", int({ min: 1 }), 256, "entries of the embedding"),
};

export const feedForwardField = (usual: string) => ({
  ffWidth: field(
    "architecture/ff_width",
    nullable(int({ min: 1 })),
    null,
    `feed-forward width; null: ${usual}`,
  ),
});

export const tieField = (usual: boolean) => ({
  tieEmbeddings: field(
    "architecture/tie_embeddings",
    bool(),
    usual,
    "one matrix embeds tokens and predicts them",
  ),
});

export const normField = (usual: number) => ({
  normEps: field("architecture/norm_eps", float({ above: 0 }), usual, "added to the variance"),
});

export const thetaField = (usual: number) => ({
  ropeTheta: field(
    "architecture/rope_theta",
    float({ above: 0 }),
    usual,
    "base of the rotary frequencies",
  ),
});

export const groupedFields = {
  nKvHead: field(
    "architecture/n_kv_head",
    nullable(int({ min: 1 })),
    null,
    "heads of keys and values, each shared by a group of query heads; null: n_head",
  ),
  headDim: field(
    "architecture/head_dim",
    nullable(int({ min: 1 })),
    null,
    "width of a head; null: n_embd / n_head",
  ),
};

/** Of a gated feed-forward part: about as many parameters as one of 4 n_embd that is not gated. */
export const gatedWidth = (nEmbd: number): number => Math.ceil((8 * nEmbd) / 3 / 32) * 32;
