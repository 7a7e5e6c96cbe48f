/** @file Text as tokens, split into what is trained on and what is held out. */
import { readFileSync, statSync } from "node:fs";
import type { Values } from "../config/field.ts";
import { DataError } from "../util/errors.ts";
import { BUILTIN_TEXTS, builtinText, type SplitText } from "./builtin_text.ts";
import type { dataFields } from "./fields.ts";
import type { Tokenizer, Tokens } from "./tokenizer.ts";
import { openTokenizer } from "./tokenizers/open_tokenizer.ts";

export interface Dataset {
  readonly name: string;
  readonly tokenizer: Tokenizer;
  readonly train: Tokens;
  readonly validation: Tokens;
}

function readText(path: string): string {
  const hint = `data.text is a text file or built-in text (${BUILTIN_TEXTS.join(", ")})`;
  const fail = (why: string): never => {
    throw new DataError(`data.text: ${path} ${why}`, { hint, place: { key: "data.text" } });
  };
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return fail("does not exist");
  if (!stat.isFile()) return fail("is not a file");
  const bytes = readFileSync(path);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return fail("is not UTF-8 text");
  }
}

/** Cuts where a line ends, if one ends nearby, so that no sentence stands in both parts. */
function splitText(text: string, fraction: number): SplitText {
  const wanted = Math.floor(text.length * (1 - fraction));
  const lineEnd = text.indexOf("\n", wanted);
  const near = lineEnd !== -1 && lineEnd - wanted < text.length * fraction * 0.5;
  const cut = near ? lineEnd + 1 : wanted;
  return { train: text.slice(0, cut), validation: text.slice(cut) };
}

export async function openDataset(options: Values<typeof dataFields>): Promise<Dataset> {
  const { text, validationFraction } = options;
  const split = builtinText(text) ?? splitText(readText(text), validationFraction);
  const tokenizer = await openTokenizer(options.tokenizer);
  return {
    name: text,
    tokenizer,
    train: tokenizer.encode(split.train),
    validation: tokenizer.encode(split.validation),
  };
}
