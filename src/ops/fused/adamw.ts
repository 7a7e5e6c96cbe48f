/**
 * @file One AdamW update of a tensor. Everything that changes from step to step comes in as scalars, so that the program
 * is fixed; apply = 0 leaves parameter and moments as they were (a step whose gradient is not finite).
 */
import type { Id } from "../../ir/graph.ts";
import { typeText } from "../../ir/text.ts";
import type { Builder } from "../builder.ts";
import { labelsOf } from "../check.ts";
import { defineOp, type Sample } from "../define.ts";
import type { NoAttrs } from "../elementwise.ts";
import { add } from "../prim/add.ts";
import { compare } from "../prim/compare.ts";
import { constantLike } from "../prim/const.ts";
import { div } from "../prim/div.ts";
import { get } from "../prim/get.ts";
import { mul } from "../prim/mul.ts";
import { pow } from "../prim/pow.ts";
import { reshape } from "../prim/reshape.ts";
import { select } from "../prim/select.ts";
import { slice } from "../prim/slice.ts";
import { sqrt } from "../prim/sqrt.ts";
import { sub } from "../prim/sub.ts";
import { shapeOf, spread } from "./compose.ts";
import { expect, expectF32, expectInputs } from "./expect.ts";
import { firsts } from "./operands.ts";
import { flat } from "./views.ts";

/** Order of the scalars operand. */
export const ADAMW_SCALARS = [
  "learning_rate",
  "beta1",
  "beta2",
  "eps",
  "weight_decay",
  "gradient_scale",
  "step",
  "apply",
] as const;

export const adamwOp = defineOp<NoAttrs>({
  name: "adamw",
  tier: "fused",
  doc: "AdamW with decoupled weight decay: param, m, v, grad, scalars [8] -> param, m, v",
  infer(inputs) {
    expectInputs("adamw", inputs, 5);
    const [param, m, v, grad, scalars] = firsts(inputs, 5);
    expect("adamw", param.dtype === "f32", "param f32", typeText(param));
    expectF32("adamw", "m", m, param.shape);
    expectF32("adamw", "v", v, param.shape);
    expectF32("adamw", "grad", grad, param.shape);
    expectF32("adamw", "scalars", scalars, [ADAMW_SCALARS.length]);
    return [param, param, param];
  },
  decompose(b, inputs) {
    const [param, m, v, grad, scalars] = firsts(inputs, 5);
    const shape = shapeOf(b, param);
    const one = constantLike(b, param, 1);
    const [lr, beta1, beta2, eps, decay, scale, step, apply] = firsts(
      ADAMW_SCALARS.map((_, at) => {
        const scalar = reshape(b, slice(b, scalars, [at], [at + 1]), []);
        return spread(b, scalar, shape);
      }),
      8,
    );
    const blend = (old: Id, fresh: Id, beta: Id): Id =>
      add(b, mul(b, beta, old), mul(b, sub(b, one, beta), fresh));
    const g = mul(b, grad, scale);
    const nextM = blend(m, g, beta1);
    const nextV = blend(v, mul(b, g, g), beta2);
    const meanM = div(b, nextM, sub(b, one, pow(b, beta1, step)));
    const meanV = div(b, nextV, sub(b, one, pow(b, beta2, step)));
    const direction = div(b, meanM, add(b, sqrt(b, meanV), eps));
    const change = mul(b, lr, add(b, direction, mul(b, decay, param)));
    const applied = compare(b, apply, constantLike(b, param, 0), "ne");
    return [
      select(b, applied, sub(b, param, change), param),
      select(b, applied, nextM, m),
      select(b, applied, nextV, v),
    ];
  },
  vjp: null,
  dims(inputs) {
    const [param] = firsts(inputs, 1);
    const full = labelsOf(param.shape, "r");
    return { labels: [full, full, full, full, ["scalar"], full, full, full], whole: ["scalar"] };
  },
  kernels: {
    cpu: {
      inPlace: () => [
        [0, 0],
        [1, 1],
        [2, 2],
      ],
      lower(_node, inputs, outputs) {
        return {
          opcode: "adamw",
          words: [],
          inputs: [...inputs.slice(0, 4).map(flat), ...inputs.slice(4)],
          outputs: outputs.map(flat),
        };
      },
    },
  },
  samples: [
    sample("matrix", [5, 7], { weight_decay: 0.1 }),
    sample("vector", [33], {}),
    sample("late_step", [4, 16], { step: 1000, weight_decay: 0.01 }),
    sample("scaled", [3, 3, 5], { gradient_scale: 0.125 }),
    sample("not_applied", [6, 6], { apply: 0, weight_decay: 0.1 }),
    sample("large", [70, 301], { weight_decay: 0.1, learning_rate: 0.01 }),
  ],
});

function sample(
  name: string,
  shape: readonly number[],
  changed: Partial<Record<(typeof ADAMW_SCALARS)[number], number>>,
): Sample<NoAttrs> {
  const settings = {
    ...{ learning_rate: 1e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0 },
    ...{ gradient_scale: 1, step: 3, apply: 1 },
    ...changed,
  };
  const tensor = { shape, dtype: "f32" } as const;
  const values = ADAMW_SCALARS.map((key) => settings[key]);
  return {
    name,
    inputs: [
      tensor,
      { ...tensor, fill: "small" },
      { ...tensor, fill: "positive" },
      tensor,
      { shape: [ADAMW_SCALARS.length], dtype: "f32", fill: "positive", values },
    ],
    attrs: {},
  };
}

export interface AdamwResults {
  readonly param: Id;
  readonly m: Id;
  readonly v: Id;
}

/** `scalars` f32 [8] in the order of `ADAMW_SCALARS`. */
export function adamw(b: Builder, param: Id, m: Id, v: Id, grad: Id, scalars: Id): AdamwResults {
  const next = b.emit(adamwOp, [param, m, v, grad, scalars], {});
  return { param: next, m: get(b, next, 1), v: get(b, next, 2) };
}
