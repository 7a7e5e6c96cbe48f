/** @file What decides which ids a text becomes, as one hash. */
import type { BpeVocabulary } from "../../runtime/index.ts";
import type { Around } from "./post_processor.ts";
import type { AddedToken, TokenizerJson } from "./tokenizer_json.ts";
import { KIND } from "./vocabulary.ts";

/** Key order in a file is no part of it. */
const sorted = (_: string, value: unknown): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value;

/** Of a tokenizer that only the reference can do: its file, without what plays no part. */
export function fingerprintOfJson(json: TokenizerJson): string {
  const { added_tokens, normalizer, pre_tokenizer, post_processor, model } = json;
  const parts = { added_tokens, normalizer, pre_tokenizer, post_processor, model };
  return new Bun.CryptoHasher("sha256").update(JSON.stringify(parts, sorted)).digest("hex");
}

/**
 * Of a tokenizer that is encoded natively: independent of how its file writes it, so that OpenAI's gpt2 and Hugging Face's are one.
 * `merges` are those that can happen.
 */
export function fingerprintOfNative(
  vocabulary: BpeVocabulary,
  merges: Uint32Array,
  more: { added: readonly AddedToken[]; compose: boolean; around: Around },
): string {
  const { pattern, starts, bytes, kinds } = vocabulary;
  // Looking up whole words changes something only if some token is not what its bytes merge into.
  const addedIds = new Set(more.added.map(({ id }) => id));
  const modelTokens = kinds.reduce(
    (count, kind, id) => count + (kind === KIND.model && !addedIds.has(id) ? 1 : 0),
    0,
  );
  const unreached = vocabulary.wholeWords && modelTokens > merges.length / 2 + 256;
  const added = more.added
    .map(({ id, content, special }) => ({ id, content, special }))
    .toSorted((a, b) => a.id - b.id);
  const { compose, around } = more;
  const hash = new Bun.CryptoHasher("sha256");
  hash.update(JSON.stringify({ format: "bpe 1", pattern, added, compose, around }, sorted));
  hash.update(starts).update(bytes).update(merges);
  if (unreached) hash.update(kinds);
  return hash.digest("hex");
}
