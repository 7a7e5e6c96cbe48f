/**
 * @file The programs of generation: new tokens of some rows are put into the cache, and logits follow after one token of each
 * row. Decoding is the program whose rows have one token. All sizes share the cache and the parameters.
 */
import type { Graph } from "../ir/graph.ts";
import { axis } from "../nn/axis.ts";
import { Cache, type CacheSize } from "../nn/cache.ts";
import type { LanguageModel } from "../nn/language_model.ts";
import { Tensor } from "../nn/tensor.ts";
import { type Precision, Trace } from "../nn/trace.ts";
import { Builder } from "../ops/builder.ts";
import { constantLike } from "../ops/prim/const.ts";
import { gather } from "../ops/prim/gather.ts";
import { max } from "../ops/prim/max.ts";
import { reshape } from "../ops/prim/reshape.ts";
import type { ProgramName } from "../train/job_programs.ts";
import type { BatchShape } from "../train/programs.ts";

export const generationName = ({ rows, length }: BatchShape): ProgramName =>
  length === 1 ? `decode_${rows}` : `prefill_${rows}x${length}`;

/**
 * Inputs: `tokens` and `slots` i32 [rows, length], a token at slot -1 being padding; `rows` i32 [rows], the rows of the cache
 * that they belong to; and, where rows have several tokens, `last` i32 [rows], the token of each row whose logits are wanted,
 * counted over the whole batch. Output: `logits` f32 [rows, vocab].
 */
export function buildGeneration(
  model: LanguageModel,
  size: CacheSize,
  batch: BatchShape,
  precision: Precision,
): Graph {
  const b = new Builder(generationName(batch));
  const trace = new Trace(b, precision, undefined, true);
  const some = axis("batch", batch.rows);
  const axes = [some, axis("seq", batch.length)];
  const ids = trace.input("tokens", axes, "i32");
  const slots = trace.input("slots", axes, "i32");
  const rows = trace.input("rows", [some], "i32");
  // Padding is computed like a first token, and then seen by no other.
  const positions = slots.like(max(b, slots.id, constantLike(b, slots.id, 0)));
  const hidden = model.forward(ids, { positions, cache: new Cache(size, rows, slots) });
  const width = hidden.axes[2] ?? axis("width", 1);
  const flat = reshape(b, hidden.id, [batch.rows * batch.length, width.size]);
  const wanted = batch.length === 1 ? flat : gather(b, flat, trace.input("last", [some], "i32").id);
  b.output("logits", model.logits(new Tensor(trace, wanted, [some, width])).id);
  return b.finish();
}
