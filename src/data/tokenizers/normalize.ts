/** @file Unicode's composed form (NFC) of text that may not be UTF-8 everywhere: broken bytes stay as they are. */
import { isAscii } from "node:buffer";
import { exactText, textAsBytes } from "./text_bytes.ts";

/** Length of the character at `at`, or 0 when the bytes there are none. */
function characterLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  return exactText(bytes.subarray(at, at + length))?.length === undefined ? 0 : length;
}

function composedParts(bytes: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [];
  let start = 0;
  let at = 0;
  const flush = (): void => {
    const text = exactText(bytes.subarray(start, at)) ?? "";
    if (text !== "") parts.push(textAsBytes(text.normalize("NFC")));
  };
  while (at < bytes.length) {
    const length = characterLength(bytes, at);
    if (length > 0) {
      at += length;
      continue;
    }
    flush();
    parts.push(bytes.subarray(at, at + 1));
    at += 1;
    start = at;
  }
  flush();
  return Buffer.concat(parts);
}

/** The composed text, or the composed bytes of what is no text; as it came when there is nothing to compose. */
export function composed(text: string | Uint8Array): string | Uint8Array {
  if (typeof text === "string") return text.normalize("NFC");
  if (isAscii(text)) return text;
  const exact = exactText(text);
  return exact === undefined ? composedParts(text) : exact.normalize("NFC");
}
