/**
 * @file Causal self-attention of every model here: heads that share keys and values in groups, rotary positions, norms of queries and
 * keys, a sliding window. How the projections are stored is a choice, so that a checkpoint's matrices are used as they stand.
 */
import { field } from "../config/field.ts";
import { float, int, nullable } from "../config/schema.ts";
import { attend } from "./attend.ts";
import { type Axis, axis } from "./axis.ts";
import type { Init } from "./init.ts";
import { Linear, type MatrixOrder } from "./linear.ts";
import { Module } from "./module.ts";
import { Norm } from "./norm.ts";
import { type RotaryOptions, rotate } from "./rotary.ts";
import type { Sequence } from "./sequence.ts";
import type { Rules } from "./sharding.ts";
import type { Tensor } from "./tensor.ts";

const config = {
  nHead: field("architecture/n_head", int({ min: 1 }), 6, "attention heads"),
  nKvHead: field(
    "architecture/n_kv_head",
    nullable(int({ min: 1 })),
    null,
    "heads of keys and values, each shared by a group of query heads; null: n_head",
  ),
  ropeTheta: field(
    "architecture/rope_theta",
    float({ above: 0 }),
    10000,
    "base of the rotary frequencies, for rotary positions",
  ),
};

/** One matrix with all queries, then keys, then values; one for each; or one that holds query, key and value head by head. */
export type QkvLayout = "joined" | "separate" | "per_head";

export interface AttentionOptions {
  readonly nHead: number;
  /** Absent or null: nHead. */
  readonly nKvHead?: number | null;
  /** Absent or null: the model's width / nHead. */
  readonly headDim?: number | null;
  /** Null: none. */
  readonly rotary: RotaryOptions | null;
  readonly bias: boolean;
  /** Of the output projection; absent: as `bias`. */
  readonly projBias?: boolean;
  /** Default: joined. */
  readonly qkv?: QkvLayout;
  /** Default: in_out. */
  readonly order?: MatrixOrder;
  /** Epsilon of the RMSNorm over each query and key head; absent or null: no such norm. */
  readonly qkNormEps?: number | null;
  /** A token sees only so many, itself included; absent or null: all before it. */
  readonly window?: number | null;
  readonly init: Init;
  /** Of the projection that writes to the residual stream. */
  readonly residualInit: Init;
}

interface QueriesKeysValues {
  /** [batch, seq, head, head_dim]. */
  readonly q: Tensor;
  /** [batch, seq, kv_head, head_dim]. */
  readonly k: Tensor;
  readonly v: Tensor;
}

export class Attention extends Module {
  static readonly config = config;
  static readonly sharding = { n_attn: "tensor" } satisfies Rules;
  /** Under `joined` and `per_head`. */
  readonly qkv: Linear | undefined;
  /** Under `separate`: queries, keys, values. */
  readonly parts: readonly Linear[];
  readonly proj: Linear;
  readonly qNorm: Norm | undefined;
  readonly kNorm: Norm | undefined;
  readonly heads: Axis;
  readonly kvHeads: Axis;
  readonly headDim: Axis;
  private readonly options: AttentionOptions;

  constructor(width: Axis, options: AttentionOptions) {
    super();
    this.options = options;
    const { nHead, init, qkv = "joined", order = "in_out" } = options;
    const nKvHead = options.nKvHead ?? nHead;
    const dim = this.headWidth(width, nHead, nKvHead);
    this.heads = axis("head", nHead);
    this.kvHeads = axis("kv_head", nKvHead);
    this.headDim = axis("head_dim", dim);
    const project = (name: string, output: Axis) =>
      this.child(name, () => new Linear(width, output, { bias: options.bias, init, order }));
    const joined = axis("n_qkv", (nHead + 2 * nKvHead) * dim);
    this.qkv = qkv === "separate" ? undefined : project("qkv", joined);
    const part = (name: string, heads: Axis) => project(name, axis("n_attn", heads.size * dim));
    this.parts =
      qkv === "separate"
        ? [part("q", this.heads), part("k", this.kvHeads), part("v", this.kvHeads)]
        : [];
    const { qkNormEps = null } = options;
    const norm = (name: string) =>
      qkNormEps === null
        ? undefined
        : this.child(name, () => {
            const each = { norm: "rms", normEps: qkNormEps, bias: false } as const;
            return new Norm(this.headDim, each);
          });
    this.qNorm = norm("q_norm");
    this.kNorm = norm("k_norm");
    const bias = options.projBias ?? options.bias;
    const residual = { bias, init: options.residualInit, order };
    this.proj = this.child("proj", () => new Linear(axis("n_attn", nHead * dim), width, residual));
  }

  override forward(x: Tensor, sequence: Sequence): Tensor {
    const { q, k, v } = this.project(x, sequence);
    const scale = 1 / Math.sqrt(this.headDim.size);
    const window = this.options.window ?? 0;
    const options = { causal: true, window, scale, compute: x.trace.compute };
    const mixed = attend(this.path, { q, k, v }, options, sequence);
    return this.proj.call(mixed.merge(["head", "head_dim"], "n_attn"));
  }

  /** Heads of every token, queries and keys normalised and turned by their positions. */
  private project(x: Tensor, { positions, cache }: Sequence): QueriesKeysValues {
    const [q, k, v] = this.split(x);
    const { rotary } = this.options;
    const length = cache?.places ?? x.axis("seq").size;
    const turn = (t: Tensor) => (rotary === null ? t : rotate(t, positions, rotary, length));
    return {
      q: turn(this.qNorm?.call(q) ?? q),
      k: turn(this.kNorm?.call(k) ?? k),
      v,
    };
  }

  private split(x: Tensor): readonly [Tensor, Tensor, Tensor] {
    const { heads, kvHeads, headDim } = this;
    const dim = headDim.size;
    if (this.qkv === undefined) {
      const [q, k, v] = this.parts;
      if (q === undefined || k === undefined || v === undefined) return this.fail("no projection");
      const of = (linear: Linear, count: Axis) => linear.call(x).split("n_attn", [count, headDim]);
      return [of(q, heads), of(k, kvHeads), of(v, kvHeads)];
    }
    const packed = this.qkv.call(x);
    if (this.options.qkv === "per_head") {
      const each = packed.split("n_qkv", [heads, axis("part", 3 * dim)]);
      const part = (index: number) => each.slice("part", index * dim, headDim);
      const [q, k, v] = [part(0), part(1), part(2)];
      return [q, k.rename("head", kvHeads.name), v.rename("head", kvHeads.name)];
    }
    const part = (start: number, count: Axis): Tensor => {
      const span = axis("part", count.size * dim);
      return packed.slice("n_qkv", start * dim, span).split("part", [count, headDim]);
    };
    const afterKeys = heads.size + kvHeads.size;
    return [part(0, heads), part(heads.size, kvHeads), part(afterKeys, kvHeads)];
  }

  private headWidth(width: Axis, nHead: number, nKvHead: number): number {
    const { headDim = null, rotary, qkv } = this.options;
    if (headDim === null && width.size % nHead !== 0)
      this.fail(`n_head ${nHead} does not divide ${width.name} ${width.size}`);
    if (nHead % nKvHead !== 0) this.fail(`n_kv_head ${nKvHead} does not divide n_head ${nHead}`);
    if (qkv === "per_head" && nHead !== nKvHead)
      this.fail(`projections head by head need n_kv_head = n_head, got ${nKvHead} and ${nHead}`);
    const dim = headDim ?? width.size / nHead;
    const dims = rotary === null ? 0 : (rotary.dims ?? dim);
    if (dims % 2 !== 0 || dims > dim)
      this.fail(`rotary positions turn an even part of each head of ${dim}, got ${dims}`);
    return dim;
  }
}
