/**
 * @file What the Python functions of well known tasks do with an item. lm-evaluation-harness keeps them beside the task's YAML; here they
 * are named by data set and function.
 */
import type { Fields } from "../data/text_template.ts";

export interface Processor {
  readonly item?: (item: Fields) => Fields;
  readonly text?: (item: Fields) => string;
  readonly measured?: (item: Fields) => string;
}

/** As Python's str.capitalize. */
const capitalized = (text: string): string =>
  text.charAt(0).toUpperCase() + text.slice(1).toLowerCase();

function hellaswagText(text: string): string {
  return text
    .trim()
    .replaceAll(" [title]", ". ")
    .replaceAll(/\[.*?\]/g, "")
    .replaceAll("  ", " ");
}

function hellaswagItem(item: Fields): Fields {
  const context = `${item.ctx_a} ${capitalized(String(item.ctx_b))}`;
  return {
    ...item,
    query: hellaswagText(`${item.activity_label}: ${context}`),
    choices: (item.endings as readonly string[]).map(hellaswagText),
    gold: Number(item.label),
  };
}

/** Undoes the tokenization of WikiText, in the order of lm-evaluation-harness, slips included. */
const WIKITEXT: readonly (readonly [string | RegExp, string])[] = [
  ["s '", "s'"],
  [/\/' [0-9]\//g, "/'[0-9]/"],
  ...([" @-@ ", " @,@ ", " @.@ "] as const).map((mark) => [mark, mark[2] ?? ""] as const),
  ...[":", ";", ".", "!", "?", ","].map((mark) => [` ${mark} `, `${mark} `] as const),
  [/\(\s*([^)]*?)\s*\)/g, "($1)"],
  [/\[\s*([^\]]*?)\s*\]/g, "[$1]"],
  [/\{\s*([^}]*?)\s*\}/g, "{$1}"],
  [/"\s*([^"]*?)\s*"/g, '"$1"'],
  [/'\s*([^']*?)\s*'/g, "'$1'"],
  ["= = = =", "===="],
  ["= = =", "==="],
  ["= =", "=="],
  [` ${String.fromCharCode(176)} `, String.fromCharCode(176)],
  [" \n", "\n"],
  ["\n ", "\n"],
  [" N ", " 1 "],
  [" 's", "'s"],
];

const wikitextText = (item: Fields): string =>
  WIKITEXT.reduce((text, [from, to]) => text.replaceAll(from, to), String(item.page));

export const PROCESSORS: ReadonlyMap<string, Processor> = new Map<string, Processor>([
  ["Rowan/hellaswag utils.process_docs", { item: hellaswagItem }],
  [
    "EleutherAI/wikitext_document_level preprocess_wikitext.wikitext_detokenizer",
    { text: wikitextText },
  ],
  [
    "EleutherAI/wikitext_document_level preprocess_wikitext.process_results",
    { measured: (item) => String(item.page) },
  ],
]);
