/**
 * @file What bench/kernels_cuda.ts times: graphs of one op on the shapes of a GPT-2 training, with the bytes that they must
 * move at least (inputs and results once) or the operations that they do.
 */
import type { Graph, Id } from "../src/ir/graph.ts";
import { Builder } from "../src/ops/builder.ts";
import type { AttentionAttrs } from "../src/ops/fused/attention_mask.ts";
import type { MatmulAttrs } from "../src/ops/lowered/matmul.ts";
import { get } from "../src/ops/prim/get.ts";
import { input } from "../src/ops/prim/input.ts";
import { opOf } from "../src/ops/registry.ts";
import type { DType } from "../src/util/dtype.ts";

export interface Shapes {
  readonly batch: number;
  readonly length: number;
  readonly heads: number;
  readonly head: number;
  readonly hidden: number;
  readonly vocabulary: number;
  readonly parameters: number;
  /** Side of the square product whose speed is the ceiling of products. */
  readonly square: number;
}

/** Tokens of 64 sequences at a time. */
export const GPT2: Shapes = {
  ...{ batch: 64, length: 1024, heads: 12, head: 64, hidden: 3072 },
  ...{ vocabulary: 50304, parameters: 124_475_904, square: 8192 },
};

/** For tests: nothing about speed. */
export const TINY: Shapes = {
  ...{ batch: 2, length: 16, heads: 2, head: 32, hidden: 128 },
  ...{ vocabulary: 64, parameters: 1000, square: 64 },
};

export interface Case {
  readonly name: string;
  readonly graph: Graph;
  /** Operations; absent where memory is the limit. */
  readonly flops?: number;
}

type Operand = readonly [dtype: DType, ...shape: number[]];

function one(name: string, op: string, operands: readonly Operand[], attrs: object): Case {
  const b = new Builder(name);
  const ids = operands.map(([dtype, ...shape], i): Id => {
    return input(b, { name: `${i}`, kind: "input", shape, dtype });
  });
  const id = b.emit(opOf(op), ids, { ...attrs });
  b.node(id).types.forEach((_, i) => {
    b.output(`${i}`, get(b, id, i));
  });
  return { name, graph: b.finish() };
}

/** [m, k] by [k, n]. */
function product(name: string, m: number, k: number, n: number): Case {
  const attrs: MatmulAttrs = {
    ...{ compute: "bf16", alpha: 1, bias: false, residual: false, activation: "none" },
    ...{ saveAux: false, activationGrad: false, out: "bf16" },
  };
  const operands: Operand[] = [
    ["bf16", 1, m, k],
    ["bf16", 1, k, n],
  ];
  return { ...one(name, "matmul", operands, attrs), flops: 2 * m * k * n };
}

/** The ceilings of the others: a copy of many bytes, and a large square product. */
export function ceilings({ square }: Shapes): { readonly copy: Case; readonly product: Case } {
  return {
    copy: one("copy", "copy", [["f32", square * square]], {}),
    product: product("square product", square, square, square),
  };
}

export function memoryBound(s: Shapes): Case[] {
  const m = s.batch * s.length;
  const c = s.heads * s.head;
  const row: Operand = ["f32", m];
  const vector: Operand = ["f32", c];
  const wide: Operand = ["f32", m, c];
  const half: Operand = ["bf16", m, c];
  const ids: Operand = ["u32", m];
  const heads: Operand = ["bf16", s.batch, s.length, s.heads, s.head];
  const reduced = { constants: [], code: [], results: [0], shape: [m, s.hidden], dtype: "f32" };
  const flat: Operand = ["f32", s.parameters];
  const norm = { eps: 1e-5, out: "bf16" };
  return [
    one("layer_norm", "layer_norm", [wide, vector, vector], norm),
    one("layer_norm_grad + residual", "layer_norm_grad", [wide, vector, row, row, wide, wide], {
      hasBias: true,
    }),
    one("rms_norm", "rms_norm", [wide, vector], norm),
    one("rms_norm_grad + residual", "rms_norm_grad", [wide, vector, row, wide, wide], {}),
    one("add", "add", [wide, wide], {}),
    one("cast to bf16", "cast", [wide], { dtype: "bf16" }),
    one("gelu", "gelu", [["bf16", m, s.hidden]], { form: "tanh" }),
    one(
      "glu",
      "glu",
      ["bf16", "bf16"].map((): Operand => ["bf16", m, s.hidden]),
      { form: "silu" },
    ),
    one("bias gradient", "map_reduce", [["f32", m, s.hidden]], {
      ...{ ...reduced, kind: "sum", dims: [0] },
    }),
    one("sum of rows", "map_reduce", [["f32", m, s.hidden]], {
      ...{ ...reduced, kind: "sum", dims: [1] },
    }),
    one("rope", "rope", [heads, ["u32", s.batch, s.length]], {
      ...{ theta: 10_000, rotaryDims: s.head, inverse: false },
    }),
    one("embedding", "embedding", [ids, ["f32", s.vocabulary, c]], {}),
    one("embedding_grad", "embedding_grad", [ids, wide], { rows: s.vocabulary }),
    one("softmax", "softmax", [["bf16", s.batch * s.heads, s.length]], {}),
    one(
      "cross_entropy",
      "cross_entropy",
      [
        ["f32", m / 8, s.vocabulary],
        ["u32", m / 8],
      ],
      {},
    ),
    one("adamw", "adamw", [flat, flat, flat, flat, ["f32", 8]], {}),
    one("grad_norm", "grad_norm", [flat], {}),
    turned(half, s),
  ];
}

/** [B, T, H, D] as [B, H, T, D]: a copy between layouts. */
function turned([dtype]: Operand, s: Shapes): Case {
  const b = new Builder("transpose");
  const shape = [s.batch, s.length, s.heads, s.head];
  const x = input(b, { name: "0", kind: "input", shape, dtype });
  b.output("0", b.emit(opOf("transpose"), [x], { perm: [0, 2, 1, 3] }));
  return { name: "transpose", graph: b.finish() };
}

export function productsAndAttention(s: Shapes): Case[] {
  const m = s.batch * s.length;
  const c = s.heads * s.head;
  const heads: Operand = ["bf16", s.batch, s.length, s.heads, s.head];
  const attrs: AttentionAttrs = {
    ...{ causal: true, window: 0, scale: s.head ** -0.5, compute: "bf16" },
  };
  const lse: Operand = ["f32", s.batch, s.heads, s.length];
  // As in training with bf16: the gradients are stored as the products read them.
  const stored = { dq: "bf16", dk: "bf16", dv: "bf16" } as const;
  // Half of the scores are masked.
  const flops = 2 * s.batch * s.heads * s.length * s.length * s.head;
  const grad = one("attention_grad", "attention_grad", [heads, heads, heads, heads, lse, heads], {
    ...attrs,
    ...stored,
  });
  return [
    product("qkv", m, c, 3 * c),
    product("proj", m, c, c),
    product("up", m, c, s.hidden),
    product("down", m, s.hidden, c),
    product("gradient of the weights of up", c, m, s.hidden),
    { ...one("attention", "attention", [heads, heads, heads], attrs), flops },
    { ...grad, flops: 2.5 * flops },
  ];
}
