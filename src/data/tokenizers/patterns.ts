/** @file The regular expressions that cut text into words and that the native encoder has as code. */
import type { WordPattern } from "../../runtime/index.ts";
import { type Component, isComponent } from "./tokenizer_json.ts";

const CONTRACTIONS = "'s|'t|'re|'ve|'m|'ll|'d";
const SHORT_CONTRACTIONS = "'(?i:[sdmt]|ll|ve|re)";
const LETTERS = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
const SYMBOLS = " ?[^\\s\\p{L}\\p{N}]+";
const SPACES = "\\s+(?!\\S)|\\s+";
const UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const BEFORE_WORD = "[^\\r\\n\\p{L}\\p{N}]?";

/** As Hugging Face writes them; `digits` as in `\p{N}{1,3}`. */
const gpt4 = (digits: string): string =>
  `(?i:${CONTRACTIONS})|${LETTERS}|${digits}|${SYMBOLS}[\\r\\n]*|\\s*[\\r\\n]+|${SPACES}`;

/** The same words in the notation of tiktoken and of what was trained with its tools. */
const gpt4Possessive = (digits: string): string =>
  `${SHORT_CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|${SPACES}`;

export const PATTERNS = {
  gpt2: `${CONTRACTIONS}| ?\\p{L}+| ?\\p{N}+|${SYMBOLS}|${SPACES}`,
  /** `\z` first: tiktoken keeps the white space at a text's end together. */
  cl100k: `(?i:${CONTRACTIONS})|${LETTERS}|\\p{N}{1,3}|${SYMBOLS}[\\r\\n]*|\\s+\\z|\\s*[\\r\\n]+|${SPACES}`,
  gpt4: gpt4("\\p{N}{1,3}"),
  o200k: [
    `${BEFORE_WORD}${UPPER}*${LOWER}+(?i:${CONTRACTIONS})?`,
    `${BEFORE_WORD}${UPPER}+${LOWER}*(?i:${CONTRACTIONS})?`,
    `\\p{N}{1,3}|${SYMBOLS}[\\r\\n/]*|\\s*[\\r\\n]+|${SPACES}`,
  ].join("|"),
} as const;

const GPT2: WordPattern = { family: "gpt2", digits: 0, endFirst: false };
const ofGpt4 = (digits: number): WordPattern => ({ family: "gpt4", digits, endFirst: false });

const KNOWN: ReadonlyMap<string, WordPattern> = new Map([
  [PATTERNS.gpt2, GPT2],
  ["'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", GPT2],
  [PATTERNS.cl100k, { ...ofGpt4(3), endFirst: true }],
  [PATTERNS.o200k, { family: "gpt4o", digits: 3, endFirst: false }],
  [gpt4("\\p{N}"), ofGpt4(1)],
  ...[2, 3].flatMap((digits): [string, WordPattern][] => [
    [gpt4(`\\p{N}{1,${digits}}`), ofGpt4(digits)],
    [gpt4Possessive(`\\p{N}{1,${digits}}`), ofGpt4(digits)],
  ]),
]);

/** A regular expression that takes every character: `isolated` and the inverse of `removed` are then the same. */
function splitPattern(part: Component): WordPattern | undefined {
  const { pattern, behavior, invert } = part;
  const regex = (pattern as { readonly Regex?: unknown } | undefined)?.Regex;
  const isolated =
    (behavior === "Isolated" && invert !== true) || (behavior === "Removed" && invert === true);
  return isolated && typeof regex === "string" ? KNOWN.get(regex) : undefined;
}

/** The words that a pre-tokenizer makes, if they are made by a pattern that is known. */
export function wordPatternOf(component: Component | null): WordPattern | undefined {
  if (component === null) return undefined;
  const isPlain = (part: Component): boolean =>
    part.type === "ByteLevel" && part.add_prefix_space === false;
  if (isPlain(component)) return component.use_regex === false ? undefined : GPT2;
  if (component.type !== "Sequence" || !Array.isArray(component.pretokenizers)) return undefined;
  const [split, bytes, more] = component.pretokenizers as unknown[];
  if (!isComponent(split) || !isComponent(bytes) || more !== undefined) return undefined;
  if (split.type !== "Split" || !isPlain(bytes) || bytes.use_regex !== false) return undefined;
  return splitPattern(split);
}
