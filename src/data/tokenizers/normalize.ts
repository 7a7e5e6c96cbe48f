/** @file Unicode's composed form (NFC) of text that may not be UTF-8 everywhere: broken bytes stay as they are. */
import { NEWER_MARKS } from "./newer_marks.gen.ts";
import { exactText, textAsBytes } from "./text_bytes.ts";

/** Every character outside of these is as it is in composed text, and takes nothing from its neighbours. */
export const MAY_COMPOSE = new RegExp(
  `[${[
    ...["\\u0300-\\u2001", "\\u20d0-\\u20ff", "\\u2126-\\u232a", "\\u2adc", "\\u2cef-\\u2cf1"],
    ...["\\u2d7f", "\\u2de0-\\u2dff", "\\u302a-\\u302f", "\\u3099\\u309a", "\\ua66f-\\uabff"],
    ...["\\ud800-\\udfff", "\\uf900-\\ufaff", "\\ufb1d-\\ufb4e", "\\ufe20-\\ufe2f"],
  ].join("")}]`,
);

/**
 * The composed form as Hugging Face's tokenizers 0.23 make it: by an older Unicode than JavaScript's, to which newer marks are letters
 * that nothing is composed with or moved across.
 */
export function composedText(text: string): string {
  if (!MAY_COMPOSE.test(text)) return text;
  if (!NEWER_MARKS.test(text)) return text.normalize("NFC");
  return text
    .split(NEWER_MARKS)
    .map((part) => part.normalize("NFC"))
    .join("");
}

/** Length of the character at `at`, or 0 when the bytes there are none. */
function characterLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  return exactText(bytes.subarray(at, at + length))?.length === undefined ? 0 : length;
}

/** Of bytes that are no text as a whole. */
export function composedParts(bytes: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [];
  let start = 0;
  let at = 0;
  const flush = (): void => {
    const text = exactText(bytes.subarray(start, at)) ?? "";
    if (text !== "") parts.push(textAsBytes(composedText(text)));
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
