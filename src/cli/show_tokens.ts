/** @file Tokens as a table: id, a mark at trained ones, text. Colours say the same twice: trained green, special magenta. */
import type { Tokenizer, Tokens } from "../data/tokenizer.ts";

const TRAINED = "\x1b[32m";
const SPECIAL = "\x1b[35m";
const FAINT = "\x1b[2m";
const END = "\x1b[0m";

/** White space and control characters as they would be typed, so that a token stays on its line. */
const visible = (text: string): string => JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"');

export function showTokens(
  ids: Tokens,
  mask: Uint8Array | undefined,
  tokenizer: Tokenizer,
  color: boolean,
): string {
  const width = String(tokenizer.vocabSize - 1).length;
  const paint = (text: string, code: string): string => (color ? `${code}${text}${END}` : text);
  const rows = Array.from(ids, (id, i) => {
    const isTrained = mask?.[i] === 1;
    const isSpecial = tokenizer.byteCount(Uint32Array.of(id)) === 0;
    const token = `|${visible(tokenizer.show(id))}|`;
    const shown = isSpecial ? paint(token, SPECIAL) : isTrained ? paint(token, TRAINED) : token;
    const mark = mask === undefined ? "" : isTrained ? `${paint("*", TRAINED)} ` : "  ";
    return `${paint(String(id).padStart(width), FAINT)} ${mark}${shown}\n`;
  });
  return rows.join("");
}
