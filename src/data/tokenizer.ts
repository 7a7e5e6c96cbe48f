/** @file What the rest of the program knows of a tokenizer. */

/** Token ids as stored: as narrow as the vocabulary allows. */
export type Tokens = Uint8Array | Uint16Array | Uint32Array;

export interface Tokenizer {
  readonly name: string;
  readonly vocabSize: number;
  encode(text: string): Tokens;
  decode(ids: Iterable<number>): string;
  /** For text that arrives token by token: what can be shown so far, holding back unfinished characters. */
  stream(): { push(id: number): string; end(): string };
  /** UTF-8 bytes that these tokens stand for, for bits per byte. */
  byteCount(ids: Tokens): number;
}
