/** @file Derivative of GELU at x, f32. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { add } from "../prim/add.ts";
import { erf } from "../prim/erf.ts";
import { exp } from "../prim/exp.ts";
import { mul } from "../prim/mul.ts";
import { sub } from "../prim/sub.ts";
import { tanh } from "../prim/tanh.ts";
import { activationOp } from "./activation.ts";
import { plus, times } from "./compose.ts";
import { expectOneOf } from "./expect.ts";

export type GeluForm = "tanh" | "erf";

/** Of the tanh form: tanh(SLOPE * (x + CUBIC * x^3)). */
export const SLOPE = Math.sqrt(2 / Math.PI);
export const CUBIC = 0.044715;

/** Phi(x) + x * phi(x). */
function exactDerivative(b: Builder, x: Id): Id {
  const cumulative = times(b, plus(b, erf(b, times(b, x, Math.SQRT1_2)), 1), 0.5);
  const density = times(b, exp(b, times(b, mul(b, x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
  return add(b, cumulative, mul(b, x, density));
}

/** With t = tanh(u): (1 + t) / 2 + x (1 - t^2) u' / 2. */
function tanhDerivative(b: Builder, x: Id): Id {
  const square = mul(b, x, x);
  const inner = times(b, add(b, x, times(b, mul(b, x, square), CUBIC)), SLOPE);
  const t = tanh(b, inner);
  const innerSlope = times(b, plus(b, times(b, square, 3 * CUBIC), 1), SLOPE);
  const rest = mul(b, sub(b, x, mul(b, x, mul(b, t, t))), innerSlope);
  return times(b, add(b, plus(b, t, 1), rest), 0.5);
}

export const geluGradOp = activationOp<{ readonly form: GeluForm }>({
  name: "gelu_grad",
  doc: "derivative of gelu at x, f32",
  check: ({ form }) => expectOneOf("gelu_grad", "form", form, ["tanh", "erf"]),
  compute: (b, x, { form }) => (form === "erf" ? exactDerivative(b, x) : tanhDerivative(b, x)),
  derivative: null,
  map: ({ form }) => `gelu_${form}_grad`,
  result: "f32",
  attrs: [{ form: "tanh" }, { form: "erf" }],
});

export const geluGrad = (b: Builder, x: Id, form: GeluForm): Id =>
  b.emit(geluGradOp, [x], { form });
