/**
 * @file OpenAI's encodings, inside the program: the ranks of every token (packed by scripts/pack_vocabularies.ts), a pattern
 * and a few special tokens. They become the tokenizer.json that Hugging Face reads, and from there go the way of any other.
 */
import { readFileSync } from "node:fs";
import type { BpeVocabulary } from "../../runtime/index.ts";
import { assert } from "../../util/errors.ts";
import { charsOfBytes } from "./byte_alphabet.ts";
import { PATTERNS, wordPatternOf } from "./patterns.ts";
import { TokenTable } from "./token_table.ts";
import type { AddedToken, BpeModel, TokenizerJson } from "./tokenizer_json.ts";
import cl100k from "./vocabularies/cl100k_base.zst" with { type: "file" };
import o200k from "./vocabularies/o200k_base.zst" with { type: "file" };
import r50k from "./vocabularies/r50k_base.zst" with { type: "file" };
import { ofRanks } from "./vocabulary.ts";

interface Encoding {
  readonly file: string;
  readonly pattern: string;
  readonly special: Readonly<Record<string, number>>;
}

const R50K: Encoding = {
  file: r50k,
  pattern: PATTERNS.gpt2,
  special: { "<|endoftext|>": 50256 },
};

const ENCODINGS: Readonly<Record<string, Encoding>> = {
  gpt2: R50K,
  r50k_base: R50K,
  cl100k_base: {
    file: cl100k,
    pattern: PATTERNS.cl100k,
    special: {
      "<|endoftext|>": 100257,
      "<|fim_prefix|>": 100258,
      "<|fim_middle|>": 100259,
      "<|fim_suffix|>": 100260,
      "<|endofprompt|>": 100276,
    },
  },
  o200k_base: {
    file: o200k,
    pattern: PATTERNS.o200k,
    special: { "<|endoftext|>": 199999, "<|endofprompt|>": 200018 },
  },
};

export const ENCODING_NAMES: readonly string[] = Object.keys(ENCODINGS);

/** Tokens by rank, each a length in one byte and its bytes. */
function unpack(packed: Uint8Array): TokenTable {
  let size = 0;
  for (let at = 0; at < packed.length; at += 1 + (packed[at] ?? 0)) size++;
  const starts = new Uint32Array(size + 1);
  const bytes = new Uint8Array(packed.length - size);
  // Every start of the program comes through here: nothing is made for each of the tokens.
  for (let [at, id, to] = [0, 0, 0]; at < packed.length; id++) {
    const length = packed[at] ?? 0;
    for (let i = 1; i <= length; i++) bytes[to++] = packed[at + i] ?? 0;
    starts[id + 1] = to;
    at += 1 + length;
  }
  return new TokenTable(bytes, starts);
}

function modelOf(
  table: TokenTable,
  pairs: Uint32Array,
  special: Readonly<Record<string, number>>,
): BpeModel {
  const tokens = Array.from({ length: table.size }, (_, id) => charsOfBytes(table.bytesOf(id)));
  const merges = Array.from({ length: pairs.length / 2 }, (_, i): readonly [string, string] => [
    tokens[pairs[2 * i] ?? 0] ?? "",
    tokens[pairs[2 * i + 1] ?? 0] ?? "",
  ]);
  return {
    type: "BPE",
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    // tiktoken looks a whole word up before it merges.
    ignore_merges: true,
    // Special tokens too: Hugging Face numbers added tokens that the vocabulary does not know itself, without gaps.
    vocab: { ...Object.fromEntries(tokens.map((token, id) => [token, id])), ...special },
    merges,
  };
}

const addedToken = ([content, id]: readonly [string, number]): AddedToken => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});

const byteLevel = { add_prefix_space: false, trim_offsets: true, use_regex: false } as const;

/** All but the model. */
const partsOf = (encoding: Encoding): Omit<TokenizerJson, "model"> => ({
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: Object.entries(encoding.special).map(addedToken),
  normalizer: null,
  pre_tokenizer: {
    type: "Sequence",
    pretokenizers: [
      { type: "Split", pattern: { Regex: encoding.pattern }, behavior: "Isolated", invert: false },
      { type: "ByteLevel", ...byteLevel },
    ],
  },
  post_processor: null,
  decoder: { type: "ByteLevel", ...byteLevel },
});

export const ENCODING_CONFIG = {
  tokenizer_class: "PreTrainedTokenizerFast",
  bos_token: "<|endoftext|>",
  eos_token: "<|endoftext|>",
  clean_up_tokenization_spaces: false,
};

export interface OpenedEncoding {
  readonly vocabulary: BpeVocabulary;
  readonly table: TokenTable;
  /** All of its tokenizer.json but the model. */
  readonly parts: Omit<TokenizerJson, "model">;
  /** As Hugging Face reads it; `merges` are those of the native encoder. */
  readonly json: (merges: Uint32Array) => TokenizerJson;
}

export function openEncoding(name: string): OpenedEncoding {
  const encoding = ENCODINGS[name];
  assert(encoding !== undefined, `no encoding ${name}`);
  const ranks = unpack(Bun.zstdDecompressSync(readFileSync(encoding.file)));
  const parts = partsOf(encoding);
  const pattern = wordPatternOf(parts.pre_tokenizer);
  assert(pattern !== undefined, `an unknown pattern of ${name}`);
  const { table, kinds } = ofRanks(ranks, parts.added_tokens);
  const added = Uint32Array.from(parts.added_tokens.flatMap(({ id }) => [id, 1]));
  const { starts, bytes } = table;
  return {
    table,
    parts,
    vocabulary: { pattern, wholeWords: true, merges: "ranks", added, kinds, starts, bytes },
    json: (merges) => ({ ...parts, model: modelOf(ranks, merges, encoding.special) }),
  };
}
