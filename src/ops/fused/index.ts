/** @file The fused ops: one import and one entry each. */
import type { AnyOp } from "../define.ts";
import { adamwOp } from "./adamw.ts";
import { attentionOp } from "./attention.ts";
import { attentionCachedOp } from "./attention_cached.ts";
import { attentionGradOp } from "./attention_grad.ts";
import { cacheWriteOp } from "./cache_write.ts";
import { crossEntropyOp } from "./cross_entropy.ts";
import { crossEntropyGradOp } from "./cross_entropy_grad.ts";
import { embeddingOp } from "./embedding.ts";
import { embeddingGradOp } from "./embedding_grad.ts";
import { geluOp } from "./gelu.ts";
import { geluGradOp } from "./gelu_grad.ts";
import { gluOp } from "./glu.ts";
import { gradNormOp } from "./grad_norm.ts";
import { layerNormOp } from "./layer_norm.ts";
import { layerNormGradOp } from "./layer_norm_grad.ts";
import { linearCrossEntropyOp } from "./linear_cross_entropy.ts";
import { linearCrossEntropyGradOp } from "./linear_cross_entropy_grad.ts";
import { randomNormalOp } from "./random_normal.ts";
import { rmsNormOp } from "./rms_norm.ts";
import { rmsNormGradOp } from "./rms_norm_grad.ts";
import { ropeOp } from "./rope.ts";
import { sigmoidOp } from "./sigmoid.ts";
import { siluOp } from "./silu.ts";
import { siluGradOp } from "./silu_grad.ts";
import { softmaxOp } from "./softmax.ts";
import { softmaxGradOp } from "./softmax_grad.ts";

export const fusedOps: readonly AnyOp[] = [
  layerNormOp,
  layerNormGradOp,
  rmsNormOp,
  rmsNormGradOp,
  softmaxOp,
  softmaxGradOp,
  crossEntropyOp,
  crossEntropyGradOp,
  linearCrossEntropyOp,
  linearCrossEntropyGradOp,
  attentionOp,
  attentionGradOp,
  attentionCachedOp,
  cacheWriteOp,
  ropeOp,
  geluOp,
  geluGradOp,
  siluOp,
  siluGradOp,
  sigmoidOp,
  gluOp,
  embeddingOp,
  embeddingGradOp,
  adamwOp,
  gradNormOp,
  randomNormalOp,
];
