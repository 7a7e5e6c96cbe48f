/** @file What turns text into ids behind a Tokenizer: the reference library, or the native byte-pair encoder. */
import type { Tokens } from "../tokenizer.ts";

export interface Encoder {
  /** As an answer to "how is this encoded?": `native`, or `reference` and why not natively. */
  readonly kind: string;
  encode(text: string | Uint8Array, parseSpecial: boolean): Tokens;
}

/** As narrow as a vocabulary of this size allows. */
export function tokensOf(ids: ArrayLike<number>, vocabSize: number): Tokens {
  if (vocabSize <= 1 << 8) return Uint8Array.from(ids);
  return vocabSize <= 1 << 16 ? Uint16Array.from(ids) : Uint32Array.from(ids);
}
