/**
 * @file Gradient of `linear_cross_entropy`, with loss and lse as by-products: each chunk of logits is made once and
 * serves the loss and all gradients. Can add dw onto a base (accumulation over micro-batches, a tied embedding).
 */
import type { Id, TensorType } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { labelsOf } from "../check.ts";
import { defineOp, type Node, type Sample, type SampleInput } from "../define.ts";
import type { View } from "../kernel.ts";
import { add } from "../prim/add.ts";
import { cast } from "../prim/cast.ts";
import { get } from "../prim/get.ts";
import { rowCount } from "./compose.ts";
import {
  expectF32,
  expectIds,
  expectInputs,
  expectLinear,
  lastSize,
  leadingShape,
} from "./expect.ts";
import { logitGradient, logSumExp, lossOf } from "./likelihood.ts";
import { linearLogits, linearLogitsGrad } from "./linear_logits.ts";
import { firsts } from "./operands.ts";
import {
  type Compute,
  computeWord,
  expectCompute,
  expectStorage,
  type Storage,
  wideOnCpu,
} from "./precision.ts";
import { flat, matrix } from "./views.ts";
import { type LossSizes, lossChunk, lossScratch, lossSizes } from "./workspace.ts";

type LinearCrossEntropyGradAttrs = {
  readonly compute: Compute;
  /** Of dx; absent: f32. */
  readonly out?: Storage;
};

const ALL_BF16 = { x: "bf16", w: "bf16", base: true } as const;

const sizesOf = (node: Node, inputs: readonly View[]): LossSizes =>
  lossSizes(firsts(inputs, 2), (node.attrs as LinearCrossEntropyGradAttrs).compute);

export const linearCrossEntropyGradOp = defineOp<LinearCrossEntropyGradAttrs>({
  name: "linear_cross_entropy_grad",
  tier: "fused",
  doc: "loss, lse, dx and dw (+ base, input 4) of linear_cross_entropy",
  infer(inputs, { compute, out }) {
    expectInputs("linear_cross_entropy_grad", inputs, 4, 5);
    const [x, w, targets, dloss] = firsts(inputs, 4);
    const base = inputs[4];
    expectLinear("linear_cross_entropy_grad", x, w);
    const rows = leadingShape(x.shape);
    expectIds("linear_cross_entropy_grad", "targets", targets, rows);
    expectF32("linear_cross_entropy_grad", "dloss", dloss, rows);
    if (base !== undefined) expectF32("linear_cross_entropy_grad", "base", base, w.shape);
    expectCompute("linear_cross_entropy_grad", compute);
    expectStorage("linear_cross_entropy_grad", out);
    const row: TensorType = { shape: rows, dtype: "f32" };
    const dx: TensorType = { shape: x.shape, dtype: out ?? "f32" };
    return [row, row, dx, { shape: w.shape, dtype: "f32" }];
  },
  decompose(b, inputs, { compute, out }) {
    const [x, w, targets, dloss] = firsts(inputs, 4);
    const base = inputs[4];
    const logits = linearLogits(b, x, w, compute);
    const lse = logSumExp(b, logits);
    const dlogits = logitGradient(b, logits, targets, lse, dloss);
    const { dx, dw } = linearLogitsGrad(b, x, w, dlogits, compute);
    const total = base === undefined ? dw : add(b, dw, base);
    return [lossOf(b, logits, targets, lse), lse, cast(b, dx, out ?? "f32"), total];
  },
  vjp: null,
  dims(inputs) {
    const [x] = firsts(inputs, 1);
    const rows = labelsOf(leadingShape(x.shape), "r");
    const full = [...rows, "c"];
    const base = inputs.slice(4).map(() => ["v", "c"]);
    const labels = [full, ["v", "c"], rows, rows, ...base, rows, rows, full, ["v", "c"]];
    return { labels, whole: ["c", "v"] };
  },
  flops(inputs) {
    const [x, w] = firsts(inputs, 2);
    return 6 * rowCount(x.shape) * lastSize(x.shape) * (w.shape[0] ?? 0);
  },
  kernels: {
    cpu: {
      inPlace: (node) => (node.inputs.length === 5 ? [[3, 4]] : []),
      supports: wideOnCpu([1], [2]),
      scratch: (node, inputs, target) => lossScratch(sizesOf(node, inputs), true, target),
      lower(node, inputs, outputs, target) {
        const [x, w, targets, dloss] = firsts(inputs, 4);
        const [loss, lse, dx, dw] = firsts(outputs, 4);
        const { compute } = node.attrs as LinearCrossEntropyGradAttrs;
        const chunk = lossChunk(sizesOf(node, inputs), target);
        return {
          opcode: "linear_cross_entropy_grad",
          words: [computeWord(compute), chunk, inputs.length - 4],
          inputs: [matrix(x), w, flat(targets), flat(dloss), ...inputs.slice(4)],
          outputs: [flat(loss), flat(lse), matrix(dx), dw],
        };
      },
    },
  },
  samples: [
    sample("plain", [6, 8], 16, { compute: "f32" }),
    sample("odd", [2, 5, 19], 37, { compute: "f32" }),
    sample("one_row", [24], 50, { compute: "f32" }),
    sample("many_rows", [67, 16], 96, { compute: "f32" }),
    sample("base", [10, 17], 23, { compute: "f32" }, { base: true }),
    sample("ignored", [5, 12], 11, { compute: "f32" }, { values: [3, -1, 0, -1, 10] }),
    sample("bf16", [9, 32], 40, { compute: "bf16" }, { x: "bf16", base: true }),
    sample("bf16_compute", [9, 33], 41, { compute: "bf16" }),
    sample("all_bf16", [9, 32], 40, { compute: "bf16", out: "bf16" }, ALL_BF16),
  ],
});

function sample(
  name: string,
  shape: readonly number[],
  vocab: number,
  attrs: LinearCrossEntropyGradAttrs,
  options: { x?: Storage; w?: Storage; values?: readonly number[]; base?: boolean } = {},
): Sample<LinearCrossEntropyGradAttrs> {
  const rows = leadingShape(shape);
  const drawn = { shape: rows, dtype: "i32", fill: "ids", max: vocab } as const;
  const table = { shape: [vocab, lastSize(shape)], dtype: "f32", fill: "small" } as const;
  const weight = { ...table, dtype: options.w ?? "f32" };
  const { values } = options;
  const inputs: readonly SampleInput[] = [
    { shape, dtype: options.x ?? "f32" },
    weight,
    values === undefined ? drawn : { ...drawn, values },
    { shape: rows, dtype: "f32" },
    ...(options.base === true ? [table] : []),
  ];
  return { name, inputs, attrs, ...(attrs.compute === "bf16" ? { tolerance: 2e-2 } : {}) };
}

export interface LinearCrossEntropyGrads {
  readonly loss: Id;
  readonly lse: Id;
  readonly dx: Id;
  readonly dw: Id;
}

export function linearCrossEntropyGrad(
  b: Builder,
  x: Id,
  w: Id,
  targets: Id,
  dloss: Id,
  attrs: LinearCrossEntropyGradAttrs,
  base?: Id,
): LinearCrossEntropyGrads {
  const inputs = [x, w, targets, dloss, ...(base === undefined ? [] : [base])];
  const loss = b.emit(linearCrossEntropyGradOp, inputs, attrs);
  return { loss, lse: get(b, loss, 1), dx: get(b, loss, 2), dw: get(b, loss, 3) };
}
