/**
 * @file How byte-level vocabularies write bytes as text: printable Latin-1 bytes stand for themselves, the other 68 are
 * moved, in order, to U+0100 and above ("Ġ" is a space). GPT-2's table, used by every byte-level tokenizer.json.
 */

const isPrintable = (byte: number): boolean =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;

/** Code point that stands for each byte. */
const CODES: readonly number[] = (() => {
  let moved = 0x100;
  return Array.from({ length: 256 }, (_, byte) => (isPrintable(byte) ? byte : moved++));
})();

/** Byte of each code point below 0x144; -1: it stands for none. */
const BYTES = new Int16Array(0x144).fill(-1);
CODES.forEach((code, byte) => {
  BYTES[code] = byte;
});

export const BYTE_CHARS: readonly string[] = CODES.map((code) => String.fromCharCode(code));

export const charsOfBytes = (bytes: Uint8Array): string =>
  String.fromCharCode(...Array.from(bytes, (byte) => CODES[byte] ?? 0));

/** The bytes that a token's text stands for; undefined when a character stands for no byte. */
export function bytesOfChars(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const byte = BYTES[text.charCodeAt(i)] ?? -1;
    if (byte < 0) return undefined;
    bytes[i] = byte;
  }
  return bytes;
}
