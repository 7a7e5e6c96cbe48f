/** @file What the attention ops share: attributes, shape checks, visible positions and masked scores as primitives. */
import type { Id, TensorType } from "../../ir/graph.ts";
import { typeText } from "../../ir/text.ts";
import { isFloat } from "../../util/dtype.ts";
import type { Shape } from "../../util/shapes.ts";
import type { Builder } from "../builder.ts";
import { expectShape } from "../check.ts";
import type { Word } from "../kernel.ts";
import { and } from "../prim/and.ts";
import { broadcast } from "../prim/broadcast.ts";
import { cast } from "../prim/cast.ts";
import { compare } from "../prim/compare.ts";
import { constantLike } from "../prim/const.ts";
import { dot } from "../prim/dot.ts";
import { iota } from "../prim/iota.ts";
import { reshape } from "../prim/reshape.ts";
import { select } from "../prim/select.ts";
import { sub } from "../prim/sub.ts";
import { shapeOf, times } from "./compose.ts";
import { expect, expectPositive } from "./expect.ts";
import { type Compute, computeWord, expectCompute } from "./precision.ts";

export type AttentionAttrs = {
  /** Position i sees only j <= i. */
  readonly causal: boolean;
  /** Position i sees only i - j < window; 0: no such limit. */
  readonly window: number;
  readonly scale: number;
  readonly compute: Compute;
};

export interface AttentionSizes {
  readonly batch: number;
  readonly length: number;
  readonly heads: number;
  /** Key and value heads; each serves heads / groups query heads. */
  readonly groups: number;
  readonly dim: number;
}

export function attentionSizes(q: Shape, k: Shape): AttentionSizes {
  const [batch = 1, length = 1, heads = 1, dim = 1] = q;
  return { batch, length, heads, groups: k[2] ?? 1, dim };
}

/** q [B, T, H, D], k and v [B, T, G, D] with G a divisor of H; documents u32 [B, T]. */
export function expectAttention(
  op: string,
  [q, k, v]: readonly [TensorType, TensorType, TensorType],
  documents: TensorType | undefined,
  attrs: AttentionAttrs,
): void {
  const ok = isFloat(q.dtype) && q.shape.length === 4;
  expect(op, ok, "q f32 or bf16 [batch, length, heads, dim]", typeText(q));
  const { batch, length, heads, groups, dim } = attentionSizes(q.shape, k.shape);
  for (const [name, type] of [["k", k] as const, ["v", v] as const]) {
    expect(op, isFloat(type.dtype), `${name} f32 or bf16`, typeText(type));
    expectShape(op, name, type, [batch, length, groups, dim]);
  }
  const divides = groups >= 1 && heads % groups === 0;
  expect(
    op,
    divides,
    "a number of key heads that divides the query heads",
    `${groups} of ${heads}`,
  );
  if (documents !== undefined) {
    const fits = documents.dtype === "u32";
    expect(op, fits, "documents u32 [batch, length]", typeText(documents));
    expectShape(op, "documents", documents, [batch, length]);
  }
  expectPositive(op, "scale", attrs.scale);
  const wholeWindow = Number.isInteger(attrs.window) && attrs.window >= 0;
  expect(op, wholeWindow, "window an integer >= 0", `${attrs.window}`);
  expectCompute(op, attrs.compute);
}

/** True where position i (dim 2) sees position j (dim 4) of [B, G, T, R, T]; null where all see all. */
function visible(b: Builder, shape: Shape, attrs: AttentionAttrs, documents?: Id): Id | null {
  const i = iota(b, shape, 2, "i32");
  const j = iota(b, shape, 4, "i32");
  const rules: Id[] = [];
  if (attrs.causal) rules.push(compare(b, j, i, "le"));
  if (attrs.window > 0)
    rules.push(compare(b, sub(b, i, j), constantLike(b, i, attrs.window), "lt"));
  if (documents !== undefined) {
    const starts = broadcast(b, cast(b, documents, "i32"), shape, [0, 2]);
    rules.push(compare(b, starts, j, "le"));
  }
  return rules.reduce<Id | null>((all, rule) => (all === null ? rule : and(b, all, rule)), null);
}

/** Query heads as [B, T, G, R, D]: R heads share one key head. */
export function grouped(b: Builder, x: Id, groups: number): Id {
  const [batch = 1, length = 1, heads = 1, dim = 1] = shapeOf(b, x);
  return reshape(b, x, [batch, length, groups, heads / groups, dim]);
}

/** q . k * scale as f32 [B, G, T, R, T], very negative where j is hidden from i (so that exp gives zero). */
export function maskedScores(b: Builder, q: Id, k: Id, attrs: AttentionAttrs, documents?: Id): Id {
  const { groups } = attentionSizes(shapeOf(b, q), shapeOf(b, k));
  const q5 = cast(b, grouped(b, q, groups), attrs.compute);
  const pairs = { batch: [[0, 0] as const, [2, 2] as const], contract: [[4, 3] as const] };
  const scores = times(b, dot(b, q5, cast(b, k, attrs.compute), pairs), attrs.scale);
  const mask = visible(b, shapeOf(b, scores), attrs, documents);
  return mask === null ? scores : select(b, mask, scores, constantLike(b, scores, -1e30));
}

/** Number of (i, j) pairs that see each other, before document masks. */
export function visiblePairs(length: number, { causal, window }: AttentionAttrs): number {
  let pairs = 0;
  for (let i = 0; i < length; i++) {
    const end = causal ? i + 1 : length;
    pairs += end - (window > 0 ? Math.max(0, i - window + 1) : 0);
  }
  return pairs;
}

export function attentionWords(attrs: AttentionAttrs, hasDocuments: boolean): readonly Word[] {
  return [
    attrs.causal ? 1 : 0,
    hasDocuments ? 1 : 0,
    attrs.window,
    { f32: attrs.scale },
    computeWord(attrs.compute),
  ];
}
