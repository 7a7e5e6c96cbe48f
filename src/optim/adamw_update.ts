/**
 * @file The update as graph: gradient sums become means, are bounded in their global norm, and AdamW steps every parameter.
 * When the norm is not finite nothing changes, and a flag says so.
 */

import type { Values } from "../config/field.ts";
import type { Id } from "../ir/graph.ts";
import type { Builder } from "../ops/builder.ts";
import { ADAMW_SCALARS, adamw } from "../ops/fused/adamw.ts";
import { gradNorm } from "../ops/fused/grad_norm.ts";
import { abs } from "../ops/prim/abs.ts";
import { cast } from "../ops/prim/cast.ts";
import { compare } from "../ops/prim/compare.ts";
import { concat } from "../ops/prim/concat.ts";
import { constant } from "../ops/prim/const.ts";
import { div } from "../ops/prim/div.ts";
import { max } from "../ops/prim/max.ts";
import { min } from "../ops/prim/min.ts";
import { mul } from "../ops/prim/mul.ts";
import { reshape } from "../ops/prim/reshape.ts";
import type { Shape } from "../util/shapes.ts";
import type { adamwFields } from "./fields.ts";

export type AdamwOptions = Values<typeof adamwFields>;

/** A parameter as the update sees it: ids of its state inputs. */
export interface Slot {
  readonly path: string;
  readonly shape: Shape;
  readonly decays: boolean;
  readonly param: Id;
  readonly m: Id;
  readonly v: Id;
  /** Sum over all tokens, not the mean. */
  readonly grad: Id;
}

export interface StepInputs {
  /** f32 []. */
  readonly learningRate: Id;
  /** f32 [], 1-based. */
  readonly step: Id;
  /** Unmasked tokens of the whole batch, f32 []. */
  readonly tokens: Id;
  /** Summed loss, f32 []: the update is applied only where it is finite too. */
  readonly loss?: Id;
  /** Largest norm of the mean gradient with which the update is applied, f32 []; absent: any finite one. */
  readonly normLimit?: Id;
}

export interface UpdateResult {
  readonly slots: readonly { readonly param: Id; readonly m: Id; readonly v: Id }[];
  /** Of the mean gradient, before clipping, f32 []. */
  readonly gradNorm: Id;
  /** f32 []: 1 when the update was applied. */
  readonly applied: Id;
}

export const LARGEST_F32 = 3.4028234663852886e38;
/** Keeps the clipping factor finite for a zero gradient; PyTorch's value. */
const CLIP_EPSILON = 1e-6;

export function adamwUpdate(
  b: Builder,
  options: AdamwOptions,
  inputs: StepInputs,
  slots: readonly Slot[],
): UpdateResult {
  const scalar = (value: number) => constant(b, value, [], "f32");
  const tokens = max(b, inputs.tokens, scalar(1));
  const summed = gradNorm(
    b,
    slots.map((slot) => slot.grad),
  );
  const norm = div(b, summed, tokens);
  const finite = (x: Id): Id => cast(b, compare(b, x, scalar(LARGEST_F32), "le"), "f32");
  const { loss, normLimit } = inputs;
  const sound =
    normLimit === undefined ? finite(norm) : cast(b, compare(b, norm, normLimit, "le"), "f32");
  const applied = loss === undefined ? sound : mul(b, sound, finite(abs(b, loss)));
  const mean = div(b, scalar(1), tokens);
  const { gradClip } = options;
  const scale = gradClip === null ? mean : mul(b, mean, clipFactor(b, norm, gradClip));
  const [beta1 = 0, beta2 = 0] = options.betas;
  const scalars = (decay: number): Id => {
    const values: Record<(typeof ADAMW_SCALARS)[number], Id> = {
      learning_rate: inputs.learningRate,
      beta1: scalar(beta1),
      beta2: scalar(beta2),
      eps: scalar(options.eps),
      weight_decay: scalar(decay),
      gradient_scale: scale,
      step: inputs.step,
      apply: applied,
    };
    return concat(
      b,
      ADAMW_SCALARS.map((name) => reshape(b, values[name], [1])),
      0,
    );
  };
  const decaying = scalars(options.weightDecay);
  const exempt = scalars(0);
  const updated = slots.map((slot) =>
    b.as({ scope: slot.path, phase: "update" }, () =>
      adamw(b, slot.param, slot.m, slot.v, slot.grad, slot.decays ? decaying : exempt),
    ),
  );
  return { slots: updated, gradNorm: norm, applied };
}

function clipFactor(b: Builder, norm: Id, bound: number): Id {
  const limit = constant(b, bound, [], "f32");
  const floor = constant(b, CLIP_EPSILON, [], "f32");
  const one = constant(b, 1, [], "f32");
  // max, not a sum: a norm below the bound then gives exactly 1.
  return min(b, div(b, limit, max(b, norm, floor)), one);
}
