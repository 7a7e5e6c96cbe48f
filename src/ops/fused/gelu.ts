/** @file GELU, x * Phi(x): exactly (erf) or by its usual approximation (tanh). */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { add } from "../prim/add.ts";
import { erf } from "../prim/erf.ts";
import { mul } from "../prim/mul.ts";
import { tanh } from "../prim/tanh.ts";
import { activationOp } from "./activation.ts";
import { plus, times } from "./compose.ts";
import { expectOneOf } from "./expect.ts";
import { CUBIC, type GeluForm, geluGrad, SLOPE } from "./gelu_grad.ts";

type GeluAttrs = { readonly form: GeluForm };

export const geluOp = activationOp<GeluAttrs>({
  name: "gelu",
  doc: "x * Phi(x); form erf is exact, form tanh the usual approximation",
  check: ({ form }) => expectOneOf("gelu", "form", form, ["tanh", "erf"]),
  compute(b, x, { form }) {
    if (form === "erf") {
      return mul(b, times(b, x, 0.5), plus(b, erf(b, times(b, x, Math.SQRT1_2)), 1));
    }
    const cubic = times(b, mul(b, x, mul(b, x, x)), CUBIC);
    const inner = times(b, add(b, x, cubic), SLOPE);
    return mul(b, times(b, x, 0.5), plus(b, tanh(b, inner), 1));
  },
  derivative: (b, x, _y, { form }) => geluGrad(b, x, form),
  map: ({ form }) => `gelu_${form}`,
  result: "like_input",
  attrs: [{ form: "tanh" }, { form: "erf" }],
});

export const gelu = (b: Builder, x: Id, form: GeluForm): Id => b.emit(geluOp, [x], { form });
