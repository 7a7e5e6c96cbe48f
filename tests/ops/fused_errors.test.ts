/** @file What a user reads when operands of a fused op do not fit: op, expectation, and what came. */
import { expect, test } from "bun:test";
import type { Attrs, TensorType } from "../../src/ir/graph.ts";
import { opOf } from "../../src/ops/registry.ts";
import { UserError } from "../../src/util/errors.ts";

const t = (dtype: TensorType["dtype"], ...shape: number[]): TensorType => ({ shape, dtype });
const f = (...shape: number[]): TensorType => t("f32", ...shape);
const heads = { causal: true, window: 0, scale: 1, compute: "f32" };
const turn = { theta: 1e4, rotaryDims: 4, inverse: false };

const cached = { window: 0, scale: 1, compute: "f32" };

const CASES: [string, TensorType[], Attrs, string][] = [
  ["layer_norm", [f(2, 4)], { eps: 1e-5 }, "expected 2 to 3 inputs, got 1"],
  ["layer_norm", [f(2, 4), f(5)], { eps: 1e-5 }, "expected weight f32[4], got f32[5]"],
  ["layer_norm", [f(2, 4), f(4), f(2, 4)], { eps: 1 }, "expected bias f32[4], got f32[2,4]"],
  [
    "layer_norm",
    [t("i32", 4), f(4)],
    { eps: 1 },
    "expected x f32 or bf16 of rank >= 1, got i32[4]",
  ],
  ["layer_norm", [f(4), f(4)], { eps: 0 }, "expected eps > 0, got 0"],
  ["layer_norm", [f(4), f(4)], { eps: 1, out: "i32" }, "expected out f32 or bf16, got i32"],
  [
    "layer_norm_grad",
    [f(2, 4), f(4), f(2), f(3), f(2, 4)],
    { hasBias: true },
    "expected rstd f32[2], got f32[3]",
  ],
  ["rms_norm", [f(2, 4), t("bf16", 4)], { eps: 1 }, "expected weight f32[4], got bf16[4]"],
  [
    "rms_norm_grad",
    [f(2, 4), f(4), f(2), t("i32", 2, 4)],
    {},
    "expected dy f32 or bf16 [2,4], got i32[2,4]",
  ],
  [
    "attention_cached",
    [f(1, 1, 3, 4), f(2, 2, 5, 4), f(2, 2, 5, 4), t("i32", 1), t("i32", 1, 1)],
    cached,
    "expected a number of key heads that divides the query heads, got 2 of 3",
  ],
  [
    "attention_cached",
    [f(1, 1, 2, 4), f(2, 2, 5, 4), f(2, 2, 6, 4), t("i32", 1), t("i32", 1, 1)],
    cached,
    "expected v of shape [2,2,5,4], got f32[2,2,6,4]",
  ],
  [
    "cache_write",
    [f(2, 1, 5, 4), f(1, 3, 1, 4), t("i32", 1), t("i32", 3, 1)],
    {},
    "expected slots of shape [1,3], got i32[3,1]",
  ],
  [
    "cache_write",
    [f(2, 1, 5, 4), f(1, 3, 2, 4), t("i32", 1), t("i32", 1, 3)],
    {},
    "expected x f32 or bf16 [batch, length, 1, 4], got f32[1,3,2,4]",
  ],
  ["softmax", [f()], {}, "expected x f32 or bf16 of rank >= 1, got f32[]"],
  ["softmax_grad", [f(3), f(4)], {}, "expected dy f32[3], got f32[4]"],
  ["cross_entropy", [f(2, 9), f(2)], {}, "expected targets of dtype i32 or u32, got f32[2]"],
  ["cross_entropy", [f(2, 9), t("i32", 3)], {}, "expected targets of shape [2], got i32[3]"],
  ["cross_entropy_grad", [f(2, 9), t("i32", 2), f(9), f(2)], {}, "expected lse f32[2], got f32[9]"],
  [
    "linear_cross_entropy",
    [f(2, 9), f(9, 5), t("i32", 2)],
    { compute: "f32" },
    "expected w f32 or bf16 [V,9], got f32[9,5]",
  ],
  [
    "linear_cross_entropy",
    [f(2, 9), f(5, 9), t("i32", 2)],
    { compute: "f16" },
    "expected compute f32 or bf16, got f16",
  ],
  [
    "linear_cross_entropy_grad",
    [f(2, 9), f(5, 9), t("i32", 2), f(2), f(9, 5)],
    { compute: "f32" },
    "expected base f32[5,9], got f32[9,5]",
  ],
  [
    "attention",
    [f(2, 4, 8), f(2, 4, 8), f(2, 4, 8)],
    heads,
    "expected q f32 or bf16 [batch, length, heads, dim], got f32[2,4,8]",
  ],
  [
    "attention",
    [f(1, 4, 6, 8), f(1, 4, 4, 8), f(1, 4, 4, 8)],
    heads,
    "expected a number of key heads that divides the query heads, got 4 of 6",
  ],
  [
    "attention",
    [f(1, 4, 6, 8), f(1, 5, 2, 8), f(1, 4, 2, 8)],
    heads,
    "expected k of shape [1,4,2,8], got f32[1,5,2,8]",
  ],
  [
    "attention",
    [f(1, 4, 2, 8), f(1, 4, 2, 8), f(1, 4, 2, 8), t("i32", 1, 4)],
    heads,
    "expected documents u32 [batch, length], got i32[1,4]",
  ],
  [
    "attention",
    [f(1, 4, 2, 8), f(1, 4, 2, 8), f(1, 4, 2, 8)],
    { ...heads, window: -1 },
    "expected window an integer >= 0, got -1",
  ],
  ["rope", [f(1, 4, 2, 8), t("i32", 4)], turn, "expected positions of shape [1,4], got i32[4]"],
  [
    "rope",
    [f(1, 4, 2, 8), t("i32", 1, 4)],
    { ...turn, rotaryDims: 5 },
    "expected rotaryDims even, 2 to 8, got 5",
  ],
  ["gelu", [f(2)], { form: "fast" }, "expected form tanh or erf, got fast"],
  ["silu", [t("i32", 2)], {}, "expected x of dtype f32 or bf16, got i32[2]"],
  [
    "glu",
    [f(2), f(3)],
    { form: "silu" },
    "expected two operands of equal shape and dtype, got f32[2] and f32[3]",
  ],
  ["embedding", [t("i32", 2), f(3)], {}, "expected table f32[V,C], got f32[3]"],
  [
    "embedding_grad",
    [t("i32", 2), f(3, 4)],
    { rows: 5 },
    "expected dy f32 or bf16 [2,4], got f32[3,4]",
  ],
  ["embedding_grad", [t("i32", 2), f(2, 4)], { rows: 0 }, "expected rows >= 1, got 0"],
  ["adamw", [f(2), f(2), f(2), f(3), f(8)], {}, "expected grad f32[2], got f32[3]"],
  ["adamw", [f(2), f(2), f(2), f(2), f(7)], {}, "expected scalars f32[8], got f32[7]"],
  ["grad_norm", [], {}, "expected at least 1 input, got 0"],
];

test.each(CASES)("%s %#", (name, inputs, attrs, message) => {
  const infer = () => opOf(name).infer(inputs, attrs);
  expect(infer).toThrow(UserError);
  expect(infer).toThrow(`[${name}] ${message}`);
});
