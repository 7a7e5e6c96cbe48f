/**
 * @file Initial values of parameters, as graph: random numbers are keyed by (seed, parameter path), so a parameter starts the
 * same whatever else the model holds.
 */
import type { Id } from "../ir/graph.ts";
import type { Builder } from "../ops/builder.ts";
import { randomNormal } from "../ops/fused/random_normal.ts";
import { constant } from "../ops/prim/const.ts";
import { scopeKey } from "../util/prng.ts";
import type { Shape } from "../util/shapes.ts";

export type Init =
  | { readonly kind: "normal"; readonly std: number }
  | { readonly kind: "constant"; readonly value: number };

export const init = {
  normal: (std: number): Init => ({ kind: "normal", std }),
  zeros: { kind: "constant", value: 0 } satisfies Init as Init,
  ones: { kind: "constant", value: 1 } satisfies Init as Init,
};

/** The initial value of a parameter, f32 of the given shape. */
export function emitInit(b: Builder, rule: Init, shape: Shape, seed: number, path: string): Id {
  if (rule.kind === "constant") return constant(b, rule.value, shape, "f32");
  return randomNormal(b, { shape, key: scopeKey(seed, path), std: rule.std });
}
