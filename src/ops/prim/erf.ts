/** @file erf: the error function. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { FLOATS } from "../check.ts";
import { unaryOp } from "../elementwise.ts";
import { constantLike } from "./const.ts";
import { exp } from "./exp.ts";
import { mul } from "./mul.ts";
import { neg } from "./neg.ts";

const TWO_OVER_SQRT_PI = 2 / Math.sqrt(Math.PI);

/**
 * Near zero the series 2/sqrt(pi) e^(-x^2) sum 2^n x^(2n+1) / (1 3 5 .. (2n+1)), whose terms are all of one sign;
 * further out 1 minus the continued fraction of the complement. Both to the last bits of f64.
 */
export function erfOf(x: number): number {
  const a = Math.abs(x);
  if (Number.isNaN(x)) return x;
  if (a > 6) return Math.sign(x);
  if (a < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    return TWO_OVER_SQRT_PI * Math.exp(-x * x) * sum;
  }
  let fraction = a;
  for (let n = 60; n >= 1; n--) fraction = a + n / 2 / fraction;
  const complement = Math.exp(-a * a) / (Math.sqrt(Math.PI) * fraction);
  return Math.sign(x) * (1 - complement);
}

export const erfOp = unaryOp({
  name: "erf",
  doc: "The error function.",
  dtypes: FLOATS,
  apply: erfOf,
  map: () => "erf",
  vjp(b, dy, x) {
    const bell = exp(b, neg(b, mul(b, x(), x())));
    return mul(b, dy, mul(b, constantLike(b, dy, TWO_OVER_SQRT_PI), bell));
  },
});

export const erf = (b: Builder, x: Id): Id => b.emit(erfOp, [x], {});
