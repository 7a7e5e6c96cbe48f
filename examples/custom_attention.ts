/**
 * @file A new attention variant in one file: each earlier position is weighed by itself, sigmoid(q·k / √d + b), with no
 * softmax over them. `theseus run mine examples/custom_attention.yaml --load examples/custom_attention.ts` trains it.
 */
import type { AttentionOptions, Axis, Tensor } from "theseus";
import { axis, field, float, Gpt, gptOptions, job, Linear, Module, ops } from "theseus";

class SigmoidAttention extends Module {
  static readonly config = {
    scoreBias: field("architecture/score_bias", float(), -4, "b, added to scores; about -log n"),
  };
  readonly heads: readonly Axis[];
  readonly q: Linear;
  readonly k: Linear;
  readonly v: Linear;
  readonly out: Linear;
  readonly scoreBias: number;

  constructor(width: Axis, options: AttentionOptions, scoreBias: number) {
    super();
    const { nHead, bias, init, residualInit } = options;
    if (width.size % nHead !== 0) this.fail(`n_head ${nHead} does not divide ${width.size}`);
    this.scoreBias = scoreBias;
    this.heads = [axis("head", nHead), axis("dim", width.size / nHead)];
    const all = axis("n_attn", width.size);
    const project = (name: string) =>
      this.child(name, () => new Linear(width, all, { bias, init }));
    [this.q, this.k, this.v] = [project("q"), project("k"), project("v")];
    this.out = this.child("out", () => new Linear(all, width, { bias, init: residualInit }));
  }

  override forward(x: Tensor): Tensor {
    const split = (part: Linear) => part.call(x).split("n_attn", this.heads);
    const [q, k, v] = [split(this.q), split(this.k).rename("seq", "key"), split(this.v)];
    const scores = q.dot(k, "dim").scale(1 / Math.sqrt(q.axis("dim").size));
    const { b } = x.trace;
    const shape = scores.axes.map((a) => a.size);
    const fill = (value: number) => ops.constant(b, value, shape, "f32");
    const index = (name: string) => ops.iota(b, shape, scores.dim("mask", name), "i32");
    const later = ops.compare(b, index("seq"), index("key"), "lt");
    const logits = ops.select(b, later, fill(-1e9), ops.add(b, scores.id, fill(this.scoreBias)));
    const mixed = scores.like(logits).sigmoid().dot(v.rename("seq", "key"), "key");
    return this.out.call(
      mixed.order("batch", "seq", "head", "dim").merge(["head", "dim"], "n_attn"),
    );
  }
}

export default job({
  name: "example/sigmoid-attention",
  doc: "a GPT whose attention weighs each position by a sigmoid",
  uses: [Gpt, SigmoidAttention],
  model(config) {
    const { scoreBias } = config.values(SigmoidAttention.config);
    const attention = (width: Axis, options: AttentionOptions) =>
      new SigmoidAttention(width, options, scoreBias);
    return new Gpt(gptOptions(config), { attention });
  },
});
