/** @file Sample shapes for the attention ops: odd lengths, shared key heads, windows, documents, bf16. */
import type { Sample, SampleInput } from "../define.ts";
import type { AttentionAttrs } from "./attention_mask.ts";

interface Case {
  readonly name: string;
  readonly batch: number;
  readonly length: number;
  readonly heads: number;
  readonly groups: number;
  readonly dim: number;
  readonly attrs?: Partial<AttentionAttrs>;
  readonly dtype?: "f32" | "bf16";
  /** Documents of this length each, packed one after the other. */
  readonly documentLength?: number;
}

const CASES: readonly Case[] = [
  { name: "causal", batch: 2, length: 9, heads: 2, groups: 2, dim: 8 },
  { name: "full", batch: 1, length: 7, heads: 3, groups: 3, dim: 5, attrs: { causal: false } },
  { name: "one_position", batch: 3, length: 1, heads: 2, groups: 1, dim: 16 },
  { name: "shared_key_heads", batch: 2, length: 11, heads: 6, groups: 2, dim: 16 },
  { name: "window", batch: 1, length: 21, heads: 2, groups: 1, dim: 8, attrs: { window: 4 } },
  {
    name: "window_both_ways",
    ...{ batch: 1, length: 13, heads: 2, groups: 2, dim: 8 },
    attrs: { causal: false, window: 3 },
  },
  { name: "documents", batch: 2, length: 17, heads: 2, groups: 2, dim: 8, documentLength: 5 },
  {
    name: "documents_and_window",
    ...{ batch: 2, length: 19, heads: 4, groups: 2, dim: 12, documentLength: 7 },
    attrs: { window: 3 },
  },
  { name: "long", batch: 1, length: 150, heads: 2, groups: 1, dim: 32 },
  { name: "wide_head", batch: 1, length: 34, heads: 1, groups: 1, dim: 128 },
  {
    name: "long_documents",
    batch: 1,
    length: 140,
    heads: 1,
    groups: 1,
    dim: 16,
    documentLength: 67,
  },
  {
    name: "bf16",
    ...{ batch: 2, length: 33, heads: 2, groups: 1, dim: 32, dtype: "bf16" },
    attrs: { compute: "bf16" },
  },
  {
    name: "bf16_compute",
    ...{ batch: 1, length: 70, heads: 2, groups: 2, dim: 20 },
    attrs: { compute: "bf16" },
  },
];

function attrsOf({ attrs, dim }: Case): AttentionAttrs {
  return { causal: true, window: 0, scale: 1 / Math.sqrt(dim), compute: "f32", ...attrs };
}

function documentsOf({ batch, length, documentLength }: Case): readonly SampleInput[] {
  if (documentLength === undefined) return [];
  const starts = Array.from({ length: batch * length }, (_, at) => {
    const position = at % length;
    return position - (position % documentLength);
  });
  return [{ shape: [batch, length], dtype: "u32", fill: "ids", max: 1, values: starts }];
}

function valuesOf({ batch, length, heads, groups, dim, dtype = "f32" }: Case) {
  const query = { shape: [batch, length, heads, dim], dtype };
  const key = { shape: [batch, length, groups, dim], dtype };
  return [query, key, key];
}

const toleranceOf = (attrs: AttentionAttrs): { tolerance?: number } =>
  attrs.compute === "bf16" ? { tolerance: 2e-2 } : {};

export function attentionSamples(): readonly Sample<AttentionAttrs>[] {
  return CASES.map((one) => {
    const attrs = attrsOf(one);
    const inputs = [...valuesOf(one), ...documentsOf(one)];
    return { name: one.name, inputs, attrs, ...toleranceOf(attrs) };
  });
}

/** lse is drawn, not computed: any value gives finite probabilities, and the formula holds for all of them. */
export function attentionGradSamples(): readonly Sample<AttentionAttrs>[] {
  const plain = CASES.map((one) => gradSample(one, "f32"));
  const halves = CASES.filter(({ dtype }) => dtype === "bf16");
  const results = { dq: "bf16", dk: "bf16", dv: "bf16" };
  const all = halves.map((one) => {
    const sample = gradSample(one, "bf16");
    return { ...sample, name: `all_${one.name}`, attrs: { ...sample.attrs, ...results } };
  });
  return [...plain, ...all];
}

function gradSample(one: Case, flow: "f32" | "bf16"): Sample<AttentionAttrs> {
  const { batch, length, heads, dim } = one;
  const attrs = attrsOf(one);
  const query = { shape: [batch, length, heads, dim], dtype: flow };
  const out = { ...query, dtype: one.dtype ?? "f32" };
  const lse = { shape: [batch, heads, length], dtype: "f32", fill: "positive" } as const;
  const inputs = [...valuesOf(one), out, lse, query, ...documentsOf(one)];
  return { name: one.name, inputs, attrs, ...toleranceOf(attrs) };
}
