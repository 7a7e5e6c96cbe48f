/** @file Derivative of SiLU at x, f32: s (1 + x (1 - s)) with s = sigmoid(x). */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import type { NoAttrs } from "../elementwise.ts";
import { mul } from "../prim/mul.ts";
import { sub } from "../prim/sub.ts";
import { activationOp } from "./activation.ts";
import { plus } from "./compose.ts";
import { sigmoid } from "./sigmoid.ts";

export const siluGradOp = activationOp<NoAttrs>({
  name: "silu_grad",
  doc: "derivative of silu at x, f32",
  compute(b, x) {
    const s = sigmoid(b, x);
    return mul(b, s, plus(b, sub(b, x, mul(b, x, s)), 1));
  },
  derivative: null,
  map: () => "silu_grad",
  result: "f32",
  attrs: [{}],
});

export const siluGrad = (b: Builder, x: Id): Id => b.emit(siluGradOp, [x], {});
