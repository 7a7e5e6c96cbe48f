/** @file Gradient of `attention`: recomputes the probabilities from q, k and lse instead of keeping them. */
import type { Id, TensorType } from "../../ir/graph.ts";
import type { Shape } from "../../util/shapes.ts";
import type { Builder } from "../builder.ts";
import { expectShape } from "../check.ts";
import { defineOp } from "../define.ts";
import { isContiguous } from "../kernel.ts";
import { cast } from "../prim/cast.ts";
import { dot } from "../prim/dot.ts";
import { exp } from "../prim/exp.ts";
import { get } from "../prim/get.ts";
import { mul } from "../prim/mul.ts";
import { reshape } from "../prim/reshape.ts";
import { sub } from "../prim/sub.ts";
import { transpose } from "../prim/transpose.ts";
import {
  type AttentionAttrs,
  attentionSizes,
  attentionWords,
  expectAttention,
  grouped,
  maskedScores,
  visiblePairs,
} from "./attention_mask.ts";
import { attentionGradSamples } from "./attention_samples.ts";
import { attentionGradScratchBytes, HEAD_DIM_MAX } from "./attention_scratch.ts";
import { alongRows, f32, rowSum, shapeOf, times } from "./compose.ts";
import { expectF32, expectFloat, expectInputs, expectRows } from "./expect.ts";
import { firsts } from "./operands.ts";
import { expectStorage, type Storage, wideOnCpu } from "./precision.ts";
import { hasDenseRows, isWritable } from "./views.ts";

const LSE = 4;
const DOUT = 5;
const DOCUMENTS = 6;

/** Dtypes of the results; absent: f32. */
type Attrs = AttentionAttrs & {
  readonly dq?: Storage;
  readonly dk?: Storage;
  readonly dv?: Storage;
};

export const attentionGradOp = defineOp<Attrs>({
  name: "attention_grad",
  tier: "fused",
  doc: "dq, dk and dv of attention from q, k, v, out, lse and dout",
  infer(inputs, attrs) {
    expectInputs("attention_grad", inputs, 6, 7);
    const [q, k, v, out, lse, dout] = firsts(inputs, 6);
    expectAttention("attention_grad", [q, k, v], inputs[DOCUMENTS], attrs);
    const { batch, heads, length } = attentionSizes(q.shape, k.shape);
    expectRows("attention_grad", "out", out);
    expectShape("attention_grad", "out", out, q.shape);
    expectF32("attention_grad", "lse", lse, [batch, heads, length]);
    expectFloat("attention_grad", "dout", dout, q.shape);
    const stored = (shape: Shape, dtype: Storage | undefined): TensorType => {
      expectStorage("attention_grad", dtype);
      return { shape, dtype: dtype ?? "f32" };
    };
    return [stored(q.shape, attrs.dq), stored(k.shape, attrs.dk), stored(k.shape, attrs.dv)];
  },
  decompose(b, inputs, attrs) {
    const [q, k, v, out, lse, dout] = firsts(inputs, 6);
    const { batch, length, heads, groups } = attentionSizes(shapeOf(b, q), shapeOf(b, k));
    const repeats = heads / groups;
    const compute = attrs.compute;
    const scores = maskedScores(b, q, k, attrs, inputs[DOCUMENTS]);
    const shape = shapeOf(b, scores);
    const lse4 = transpose(b, reshape(b, lse, [batch, groups, repeats, length]), [0, 1, 3, 2]);
    const p = exp(b, sub(b, scores, alongRows(b, lse4, shape)));
    // Sum of dout * out per row, moved from [B, T, G, R] to the order of the scores.
    const inner = rowSum(b, grouped(b, mul(b, f32(b, dout), f32(b, out)), groups));
    const delta = alongRows(b, transpose(b, inner, [0, 2, 1, 3]), shape);
    const dout5 = cast(b, grouped(b, dout, groups), compute);
    const heads4 = [[0, 0] as const, [2, 2] as const];
    const dp = dot(b, dout5, cast(b, v, compute), { batch: heads4, contract: [[4, 3]] });
    const ds = cast(b, times(b, mul(b, p, sub(b, dp, delta)), attrs.scale), compute);
    const q5 = cast(b, grouped(b, q, groups), compute);
    const byKey = { batch: [[0, 0] as const, [1, 2] as const], contract: [[4, 1] as const] };
    const dq5 = dot(b, ds, cast(b, k, compute), byKey);
    const dq = reshape(b, transpose(b, dq5, [0, 2, 1, 3, 4]), shapeOf(b, q));
    // Contracting positions and the heads of a group: [B, G, S, D].
    const byQuery = {
      batch: [[0, 0] as const, [1, 2] as const],
      contract: [[2, 1] as const, [3, 3] as const],
    };
    const dk = dot(b, ds, q5, byQuery);
    const dv = dot(b, cast(b, p, compute), dout5, byQuery);
    return [
      cast(b, dq, attrs.dq ?? "f32"),
      cast(b, transpose(b, dk, [0, 2, 1, 3]), attrs.dk ?? "f32"),
      cast(b, transpose(b, dv, [0, 2, 1, 3]), attrs.dv ?? "f32"),
    ];
  },
  vjp: null,
  dims(inputs) {
    const full = ["b", "t", "h", "d"];
    const documents = inputs.slice(DOCUMENTS).map(() => ["b", "t"]);
    const labels = [full, full, full, full, ["b", "h", "t"], full, ...documents, full, full, full];
    return { labels, whole: ["t", "d"] };
  },
  flops(inputs, attrs) {
    const [q, k] = firsts(inputs, 2);
    const { batch, length, heads, dim } = attentionSizes(q.shape, k.shape);
    return 10 * batch * heads * dim * visiblePairs(length, attrs);
  },
  kernels: {
    cpu: {
      supports: (node, types, target) =>
        (types[0]?.shape[3] ?? 0) <= HEAD_DIM_MAX &&
        wideOnCpu([DOUT], [0, 1, 2])(node, types, target),
      acceptsInput: (_node, index, view) =>
        index === LSE ? isContiguous(view) : index === DOCUMENTS || hasDenseRows(view),
      acceptsOutput: (_node, _index, view) => hasDenseRows(view) && isWritable(view),
      scratch(_node, inputs) {
        const [q, k] = firsts(inputs, 2);
        return { perThreadBytes: attentionGradScratchBytes(attentionSizes(q.shape, k.shape)) };
      },
      lower(node) {
        const hasDocuments = node.inputs.length > DOCUMENTS;
        const words = attentionWords(node.attrs as AttentionAttrs, hasDocuments);
        return { opcode: "attention_grad", words };
      },
    },
  },
  samples: attentionGradSamples(),
});

export interface AttentionGradInputs {
  readonly q: Id;
  readonly k: Id;
  readonly v: Id;
  readonly out: Id;
  readonly lse: Id;
  readonly dout: Id;
}

export function attentionGrad(
  b: Builder,
  { q, k, v, out, lse, dout }: AttentionGradInputs,
  attrs: AttentionAttrs,
  documents?: Id,
): { readonly dq: Id; readonly dk: Id; readonly dv: Id } {
  const inputs = [q, k, v, out, lse, dout, ...(documents === undefined ? [] : [documents])];
  const dq = b.emit(attentionGradOp, inputs, attrs);
  return { dq, dk: get(b, dq, 1), dv: get(b, dq, 2) };
}
