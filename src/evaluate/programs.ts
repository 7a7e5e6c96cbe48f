/**
 * @file The programs of scoring. `score_hidden` runs packed rows and leaves the hidden states behind; `score_tokens` judges some positions of
 * them, so that logits exist for few tokens at a time whatever the vocabulary.
 */
import type { Graph } from "../ir/graph.ts";
import { axis } from "../nn/axis.ts";
import type { LanguageModel } from "../nn/language_model.ts";
import { Tensor } from "../nn/tensor.ts";
import { type Precision, Trace } from "../nn/trace.ts";
import { Builder } from "../ops/builder.ts";
import { crossEntropy } from "../ops/fused/cross_entropy.ts";
import { argmax } from "../ops/prim/argmax.ts";
import { gather } from "../ops/prim/gather.ts";
import { input } from "../ops/prim/input.ts";
import { reshape } from "../ops/prim/reshape.ts";
import type { BatchShape } from "../train/programs.ts";

const HIDDEN = "score/hidden";

/** Width of the model's hidden states, found by tracing it on one token. */
export function hiddenWidth(model: LanguageModel): number {
  const trace = new Trace(new Builder("probe"), "f32");
  const one = [axis("batch", 1), axis("seq", 1)];
  return model.forward(trace.input("tokens", one, "i32")).axes[2]?.size ?? 1;
}

/** Inputs [rows, length]: `tokens` i32, `positions` i32 within their text, `documents` u32: where in the row each text begins. */
export function buildHidden(
  model: LanguageModel,
  { rows, length }: BatchShape,
  precision: Precision,
): Graph {
  const b = new Builder("score_hidden");
  const trace = new Trace(b, precision);
  const axes = [axis("batch", rows), axis("seq", length)];
  const ids = trace.input("tokens", axes, "i32");
  const positions = trace.input("positions", axes, "i32");
  const documents = trace.input("documents", axes, "u32");
  const hidden = model.forward(ids, { positions, documents });
  const shape = [rows * length, hidden.axes[2]?.size ?? 1];
  input(b, { name: HIDDEN, kind: "state", shape, dtype: "f32" });
  b.output(HIDDEN, reshape(b, hidden.id, shape), HIDDEN);
  return b.finish();
}

/**
 * Inputs i32 [count]: `picks`, positions over the whole batch, and the `targets` that follow them. Outputs [count]: `loss` f32, minus the
 * natural logarithm of the target's probability, and `likeliest` i32.
 */
export function buildTokenScores(
  model: LanguageModel,
  { rows, length }: BatchShape,
  count: number,
  precision: Precision,
): Graph {
  const b = new Builder("score_tokens");
  const trace = new Trace(b, precision);
  const width = hiddenWidth(model);
  const shape = [rows * length, width];
  const hidden = input(b, { name: HIDDEN, kind: "state", shape, dtype: "f32" });
  const some = axis("batch", count);
  const picks = trace.input("picks", [some], "i32");
  const targets = trace.input("targets", [some], "i32");
  const picked = new Tensor(trace, gather(b, hidden, picks.id), [some, axis("n_embd", width)]);
  const { id: logits } = model.logits(picked);
  b.output("loss", crossEntropy(b, logits, targets.id).loss);
  b.output("likeliest", argmax(b, logits));
  return b.finish();
}
