/**
 * @file Tokens on disk: a folder with `index.json` and shards, written by the tokenization jobs and read by the loader. A shard is
 * `<split>-00000.tokens` (ids, little-endian, without a header) beside `<split>-00000.starts` (u64 little-endian: where each
 * document starts, then where the last one ends) and, where not every token is trained on, `<split>-00000.mask` (one byte a token, 1 = trained on).
 */

export const INDEX_FILE = "index.json";
export const TOKENS_FORMAT = "theseus-tokens";
export const TOKENS_VERSION = 1;

export type SplitName = "train" | "validation";

/** stream: documents end to end. rows: a document is one example. pairs: documents 2i and 2i + 1 are the chosen and the rejected answer. */
export type TokensKind = "stream" | "rows" | "pairs";

export interface ShardFile {
  readonly file: string;
  readonly bytes: number;
  /** XXH3 of the content, in hex, as in checkpoints. */
  readonly hash: string;
  /** The hash after every 8 MiB: it tells where a file is damaged (shard_hash.ts). */
  readonly steps?: readonly string[];
}

export interface Shard {
  readonly tokens: ShardFile;
  readonly starts: ShardFile;
  readonly mask: ShardFile | null;
  readonly token_count: number;
  readonly document_count: number;
  /** UTF-8 bytes of the text that the tokens stand for. */
  readonly text_bytes: number;
  /** Tokens whose mask is 1; equals token_count without a mask. */
  readonly trained_count: number;
}

/** What the ids mean. A model or tokenizer with another fingerprint must not read them. */
export interface TokenizerRecord {
  /** As a configuration names it: `gpt2`, a path, `hf:org/name`. */
  readonly name: string;
  readonly fingerprint: string;
  readonly vocab_size: number;
}

export interface TokensIndex {
  readonly format: typeof TOKENS_FORMAT;
  readonly version: typeof TOKENS_VERSION;
  readonly program_version: string;
  readonly kind: TokensKind;
  readonly dtype: "u8" | "u16" | "u32";
  readonly tokenizer: TokenizerRecord;
  /** The chat template that rendered the text; null: plain text. */
  readonly template: { readonly name: string; readonly fingerprint: string } | null;
  readonly splits: Readonly<Record<SplitName, readonly Shard[]>>;
  /** What the job was made from and what it counted (documents, skipped, truncated ...), for people and for reruns. */
  readonly source: Readonly<Record<string, unknown>>;
  readonly counts: Readonly<Record<string, number>>;
}
