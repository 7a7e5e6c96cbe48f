/** @file SiLU (swish): x * sigmoid(x). */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import type { NoAttrs } from "../elementwise.ts";
import { mul } from "../prim/mul.ts";
import { activationOp } from "./activation.ts";
import { sigmoid } from "./sigmoid.ts";
import { siluGrad } from "./silu_grad.ts";

export const siluOp = activationOp<NoAttrs>({
  name: "silu",
  doc: "x * sigmoid(x)",
  compute: (b, x) => mul(b, x, sigmoid(b, x)),
  derivative: (b, x) => siluGrad(b, x),
  map: () => "silu",
  result: "like_input",
  attrs: [{}],
});

export const silu = (b: Builder, x: Id): Id => b.emit(siluOp, [x], {});
