/** @file The logistic function, 1 / (1 + exp(-x)). */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import type { NoAttrs } from "../elementwise.ts";
import { constantLike } from "../prim/const.ts";
import { div } from "../prim/div.ts";
import { exp } from "../prim/exp.ts";
import { mul } from "../prim/mul.ts";
import { neg } from "../prim/neg.ts";
import { sub } from "../prim/sub.ts";
import { activationOp } from "./activation.ts";
import { f32, plus } from "./compose.ts";

export const sigmoidOp = activationOp<NoAttrs>({
  name: "sigmoid",
  doc: "1 / (1 + exp(-x))",
  compute: (b, x) => div(b, constantLike(b, x, 1), plus(b, exp(b, neg(b, x)), 1)),
  derivative(b, _x, y) {
    const y32 = f32(b, y);
    return sub(b, y32, mul(b, y32, y32));
  },
  map: () => "sigmoid",
  result: "like_input",
  attrs: [{}],
});

export const sigmoid = (b: Builder, x: Id): Id => b.emit(sigmoidOp, [x], {});
