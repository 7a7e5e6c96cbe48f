/** @file What the rest of the program knows of a tokenizer. */
import type { TokenizerDefinition } from "./tokenizers/tokenizer_json.ts";

/** Token ids as stored: as narrow as the vocabulary allows. */
export type Tokens = Uint8Array | Uint16Array | Uint32Array;

/** Tokens with a meaning of their own, as the tokenizer's files declare them; undefined: it has none. */
export interface SpecialIds {
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly pad: number | undefined;
}

export interface EncodeOptions {
  /**
   * Whether text that spells a special token ("<|endoftext|>") becomes that token. False, the default, is right for
   * text from elsewhere: it cannot forge the end of a document or a turn.
   */
  readonly parseSpecial?: boolean;
  /** Adds what the tokenizer's post-processor adds around a text (Llama's begin-of-text, for instance). Default: false. */
  readonly addSpecial?: boolean;
}

export interface Tokenizer {
  /** As a configuration names it: `bytes`, `gpt2`, a path of a tokenizer.json or its folder. */
  readonly name: string;
  /** Largest id + 1, added tokens included. */
  readonly vocabSize: number;
  /** SHA-256 in hex of all that decides which ids a text becomes; equal exactly for tokenizers that agree on every text. */
  readonly fingerprint: string;
  readonly special: SpecialIds;
  /** Of its tokenizer.json all but the model; without: it has none. */
  readonly definition?: TokenizerDefinition | undefined;
  /** The id of a token that stands for exactly this text (special tokens included), if there is one. */
  idOf(token: string): number | undefined;
  /** Bytes that are not UTF-8 are encoded as they are by byte-level tokenizers, as U+FFFD by others. */
  encode(text: string | Uint8Array, options?: EncodeOptions): Tokens;
  decode(ids: Iterable<number>, options?: { readonly skipSpecial?: boolean }): string;
  /** One token as it would be shown in a table: text where it is text, else bytes as <0xE2>. */
  show(id: number): string;
  /** For text that arrives token by token: what can be shown so far, holding back unfinished characters. */
  stream(): { push(id: number): string; end(): string };
  /** UTF-8 bytes that these tokens stand for, for bits per byte; special tokens count 0. */
  byteCount(ids: Tokens): number;
  /** Files that make a folder loadable by Hugging Face (`tokenizer.json`, `tokenizer_config.json` ...), by name; empty for `bytes`. */
  files(): Readonly<Record<string, string>>;
}
