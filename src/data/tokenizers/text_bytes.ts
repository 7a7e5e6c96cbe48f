/** @file Between text and UTF-8, in the ways that tokenizers need. */

const lenient = new TextDecoder("utf-8", { ignoreBOM: true });
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** Bytes that are no UTF-8 become U+FFFD; a byte order mark is text like any other. */
export const bytesAsText = (bytes: Uint8Array): string => lenient.decode(bytes);

export const textAsBytes = (text: string): Uint8Array => encoder.encode(text);

/** The text, or undefined when these bytes are no UTF-8. */
export function exactText(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}

const hex = (byte: number): string => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;

/** For a table on one line: text as it is, control characters and broken characters as <0x0A>. */
export function shownBytes(bytes: Uint8Array): string {
  const text = exactText(bytes);
  if (text !== undefined)
    return text.replaceAll(/[\p{Cc}\u2028\u2029]/gu, (char) =>
      Array.from(textAsBytes(char), hex).join(""),
    );
  return Array.from(bytes, (byte) =>
    byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : hex(byte),
  ).join("");
}
