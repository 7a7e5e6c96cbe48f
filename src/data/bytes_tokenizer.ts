/** @file The tokenizer without a vocabulary: every byte of UTF-8 is a token. */
import type { Tokenizer, Tokens } from "./tokenizer.ts";

const hex = (id: number): string => `<0x${id.toString(16).toUpperCase().padStart(2, "0")}>`;

export const bytesTokenizer: Tokenizer = {
  name: "bytes",
  vocabSize: 256,
  fingerprint: new Bun.CryptoHasher("sha256").update("theseus bytes 1").digest("hex"),
  special: { bos: undefined, eos: undefined, pad: undefined },
  idOf(token) {
    const bytes = new TextEncoder().encode(token);
    return bytes.length === 1 ? bytes[0] : undefined;
  },
  encode: (text): Tokens => (typeof text === "string" ? new TextEncoder().encode(text) : text),
  decode: (ids) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(ids)),
  show: (id) => (id >= 0x20 && id < 0x7f ? String.fromCharCode(id) : hex(id)),
  stream() {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    return {
      push: (id) => decoder.decode(Uint8Array.of(id), { stream: true }),
      end: () => decoder.decode(),
    };
  },
  byteCount: (ids) => ids.length,
  files: () => ({}),
};
