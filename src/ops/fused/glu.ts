/** @file Gated linear unit: act(gate) * up. Has no kernel of its own; the fuser makes one `map` of its parts. */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { at, expectDtype, expectSame, FLOATS, two } from "../check.ts";
import { defineOp } from "../define.ts";
import { elementwiseDims } from "../elementwise.ts";
import { cast } from "../prim/cast.ts";
import { mul } from "../prim/mul.ts";
import { f32 } from "./compose.ts";
import { expectOneOf } from "./expect.ts";
import { gelu } from "./gelu.ts";
import { silu } from "./silu.ts";

export type GluForm = "silu" | "gelu_tanh" | "gelu_erf";
type GluAttrs = { readonly form: GluForm };

const ACTIVATIONS: Record<GluForm, (b: Builder, x: Id) => Id> = {
  silu,
  gelu_tanh: (b, x) => gelu(b, x, "tanh"),
  gelu_erf: (b, x) => gelu(b, x, "erf"),
};

export const gluOp = defineOp<GluAttrs>({
  name: "glu",
  tier: "fused",
  doc: "act(gate) * up with act silu, gelu_tanh or gelu_erf",
  infer(inputs, { form }) {
    const [gate, up] = two("glu", inputs);
    expectDtype("glu", "operands", gate, FLOATS);
    expectSame("glu", gate, up);
    expectOneOf("glu", "form", form, ["silu", "gelu_tanh", "gelu_erf"]);
    return [gate];
  },
  decompose(b, inputs, { form }) {
    const gate = at(inputs, 0);
    const product = mul(b, ACTIVATIONS[form](b, f32(b, gate)), f32(b, at(inputs, 1)));
    return [cast(b, product, b.type(gate).dtype)];
  },
  dims: (inputs) => elementwiseDims(inputs),
  kernels: {},
  samples: (["silu", "gelu_tanh", "gelu_erf"] as const).flatMap((form) =>
    (["f32", "bf16"] as const).map((dtype) => {
      const half = { shape: [3, 5, 43], dtype };
      return { name: `${form}_${dtype}`, inputs: [half, half], attrs: { form } };
    }),
  ),
});

export const glu = (b: Builder, gate: Id, up: Id, form: GluForm): Id =>
  b.emit(gluOp, [gate, up], { form });
