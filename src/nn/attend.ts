/** @file The one place where queries meet keys: those of the same rows, or what a cache holds of them. */
import type { AttentionOptions } from "../ops/fused/attention.ts";
import { attention } from "../ops/fused/attention.ts";
import type { Sequence } from "./sequence.ts";
import { Tensor } from "./tensor.ts";

/** `path` is the module's: its keys and values are cached under it. q, k and v are [batch, seq, heads, dim]. */
export function attend(
  path: string,
  { q, k, v }: { readonly q: Tensor; readonly k: Tensor; readonly v: Tensor },
  options: AttentionOptions,
  { documents, cache }: Sequence,
): Tensor {
  const { trace } = q;
  const id =
    cache === undefined
      ? attention(trace.b, q.id, k.id, v.id, options, documents?.id)
      : cache.attend(path, q, k, v, options);
  return new Tensor(trace, id, q.axes);
}
