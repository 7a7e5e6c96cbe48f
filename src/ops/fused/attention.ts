/**
 * @file Scaled dot-product attention over heads that share key heads in groups. Takes q, k and v as strided views, so a
 * packed projection needs no copies; the log-partition of each row is a result because the gradient needs it.
 */
import type { Id } from "../../ir/graph.ts";
import type { Builder } from "../builder.ts";
import { defineOp } from "../define.ts";
import { isContiguous } from "../kernel.ts";
import { add } from "../prim/add.ts";
import { cast } from "../prim/cast.ts";
import { div } from "../prim/div.ts";
import { dot } from "../prim/dot.ts";
import { exp } from "../prim/exp.ts";
import { log } from "../prim/log.ts";
import { reshape } from "../prim/reshape.ts";
import { stopGradient } from "../prim/stop_gradient.ts";
import { sub } from "../prim/sub.ts";
import { transpose } from "../prim/transpose.ts";
import { attentionGrad } from "./attention_grad.ts";
import {
  type AttentionAttrs,
  attentionSizes,
  attentionWords,
  expectAttention,
  maskedScores,
  visiblePairs,
} from "./attention_mask.ts";
import { attentionSamples } from "./attention_samples.ts";
import { attentionScratchBytes, HEAD_DIM_MAX } from "./attention_scratch.ts";
import { alongRows, rowMax, rowSum, shapeOf } from "./compose.ts";
import { expectInputs } from "./expect.ts";
import { firsts } from "./operands.ts";
import { expectStorage, type Storage } from "./precision.ts";
import { hasDenseRows, isWritable } from "./views.ts";

type Attrs = AttentionAttrs & { readonly out?: Storage };

export const attentionOp = defineOp<Attrs>({
  name: "attention",
  tier: "fused",
  doc: "softmax(q . k * scale) . v with causal, window and document masks; results out and lse",
  infer(inputs, attrs) {
    expectInputs("attention", inputs, 3, 4);
    const [q, k, v] = firsts(inputs, 3);
    expectAttention("attention", [q, k, v], inputs[3], attrs);
    expectStorage("attention", attrs.out);
    const { batch, heads, length } = attentionSizes(q.shape, k.shape);
    return [
      { shape: q.shape, dtype: attrs.out ?? q.dtype },
      { shape: [batch, heads, length], dtype: "f32" },
    ];
  },
  decompose(b, inputs, attrs) {
    const [q, k, v] = firsts(inputs, 3);
    const { batch, length, heads } = attentionSizes(shapeOf(b, q), shapeOf(b, k));
    const scores = maskedScores(b, q, k, attrs, inputs[3]);
    const shape = shapeOf(b, scores);
    const max = rowMax(b, scores);
    const e = exp(b, sub(b, scores, alongRows(b, max, shape)));
    const total = rowSum(b, e);
    const p = cast(b, div(b, e, alongRows(b, total, shape)), attrs.compute);
    const pairs = { batch: [[0, 0] as const, [1, 2] as const], contract: [[4, 1] as const] };
    const grouped = dot(b, p, cast(b, v, attrs.compute), pairs);
    const out = reshape(b, transpose(b, grouped, [0, 2, 1, 3, 4]), shapeOf(b, q));
    const lse = transpose(b, add(b, log(b, total), max), [0, 1, 3, 2]);
    return [
      cast(b, out, attrs.out ?? b.type(q).dtype),
      stopGradient(b, reshape(b, lse, [batch, heads, length])),
    ];
  },
  vjp(b, { inputs, outputs, attrs, cotangents }) {
    const [q, k, v] = firsts(inputs, 3);
    const [out, lse] = firsts(outputs, 2);
    const dout = cotangents[0] ?? null;
    if (dout === null) return inputs.map(() => null);
    const { causal, window, scale, compute } = attrs;
    const options = { causal, window, scale, compute };
    const { dq, dk, dv } = attentionGrad(b, { q, k, v, out, lse, dout }, options, inputs[3]);
    return [dq, dk, dv, ...inputs.slice(3).map(() => null)];
  },
  // Heads and key heads share a label: splitting it by n gives each part whole groups.
  dims(inputs) {
    const full = ["b", "t", "h", "d"];
    const documents = inputs.slice(3).map(() => ["b", "t"]);
    const labels = [full, full, full, ...documents, full, ["b", "h", "t"]];
    return { labels, whole: ["t", "d"] };
  },
  flops(inputs, attrs) {
    const [q, k] = firsts(inputs, 2);
    const { batch, length, heads, dim } = attentionSizes(q.shape, k.shape);
    return 4 * batch * heads * dim * visiblePairs(length, attrs);
  },
  kernels: {
    cpu: {
      supports: (_node, [q]) => (q?.shape[3] ?? 0) <= HEAD_DIM_MAX,
      acceptsInput: (_node, index, view) => index === 3 || hasDenseRows(view),
      acceptsOutput: (_node, index, view) =>
        index === 0 ? hasDenseRows(view) && isWritable(view) : isContiguous(view),
      scratch(_node, inputs) {
        const [q, k] = firsts(inputs, 2);
        return { perThreadBytes: attentionScratchBytes(attentionSizes(q.shape, k.shape)) };
      },
      lower(node) {
        const words = attentionWords(node.attrs as Attrs, node.inputs.length === 4);
        return { opcode: "attention", words };
      },
    },
  },
  samples: attentionSamples(),
});

export interface AttentionOptions {
  readonly causal: boolean;
  /** 0, null or absent: no window. */
  readonly window?: number | null;
  readonly scale: number;
  readonly compute: AttentionAttrs["compute"];
  readonly out?: Storage;
}

/** Returns the mixed values [B, T, H, D]; `documents` holds the first visible position of each position. */
export function attention(
  b: Builder,
  q: Id,
  k: Id,
  v: Id,
  options: AttentionOptions,
  documents?: Id,
): Id {
  const { causal, window, scale, compute, out } = options;
  const attrs = { causal, window: window ?? 0, scale, compute };
  const inputs = documents === undefined ? [q, k, v] : [q, k, v, documents];
  return b.emit(attentionOp, inputs, out === undefined ? attrs : { ...attrs, out });
}
