/** @file The tokenizer without a vocabulary: every byte of UTF-8 is a token. */
import type { Tokenizer, Tokens } from "./tokenizer.ts";

export const bytesTokenizer: Tokenizer = {
  name: "bytes",
  vocabSize: 256,
  encode: (text: string): Tokens => new TextEncoder().encode(text),
  decode: (ids: Iterable<number>): string => new TextDecoder().decode(Uint8Array.from(ids)),
  stream() {
    const decoder = new TextDecoder();
    return {
      push: (id) => decoder.decode(Uint8Array.of(id), { stream: true }),
      end: () => decoder.decode(),
    };
  },
  byteCount: (ids) => ids.length,
};
