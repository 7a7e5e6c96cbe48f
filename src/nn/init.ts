/**
 * @file Initial values as graph: normals are made from counters by Box and Muller's method, keyed by (seed, parameter path),
 * so a parameter starts the same whatever else the model holds.
 */
import type { Id } from "../ir/graph.ts";
import type { Builder } from "../ops/builder.ts";
import { add } from "../ops/prim/add.ts";
import { cast } from "../ops/prim/cast.ts";
import { constant } from "../ops/prim/const.ts";
import { cos } from "../ops/prim/cos.ts";
import { iota } from "../ops/prim/iota.ts";
import { log } from "../ops/prim/log.ts";
import { max } from "../ops/prim/max.ts";
import { mul } from "../ops/prim/mul.ts";
import { randomBits } from "../ops/prim/random_bits.ts";
import { sqrt } from "../ops/prim/sqrt.ts";
import { assert } from "../util/errors.ts";
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

/** Uniform in (0, 1): u32 bits at half-way points, so that the logarithm is finite. */
function uniform(b: Builder, shape: Shape, seed: number, path: string): Id {
  const step = constant(b, 0, [], "u32");
  const rows = iota(b, [shape[0] ?? 1], 0, "u32");
  const bits = randomBits(b, step, rows, { shape, key: scopeKey(seed, path) });
  const fill = (x: number) => constant(b, x, shape, "f32");
  return mul(b, add(b, cast(b, bits, "f32"), fill(0.5)), fill(2 ** -32));
}

/** The initial value of a parameter, f32 of the given shape. */
export function emitInit(b: Builder, rule: Init, shape: Shape, seed: number, path: string): Id {
  const fill = (x: number) => constant(b, x, shape, "f32");
  if (rule.kind === "constant") return fill(rule.value);
  assert(shape.length > 0, `the scalar ${path} cannot have a normal initial value`);
  const u = uniform(b, shape, seed, `${path}#radius`);
  const angle = mul(b, uniform(b, shape, seed, `${path}#angle`), fill(2 * Math.PI));
  // Rounding may put u above 1, whose logarithm would make the root NaN.
  const squared = max(b, mul(b, log(b, u), fill(-2)), fill(0));
  return mul(b, mul(b, sqrt(b, squared), cos(b, angle)), fill(rule.std));
}
