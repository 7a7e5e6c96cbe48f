/**
 * @file OpenAI's encodings, inside the program: the ranks of every token (packed by scripts/pack_vocabularies.ts), a pattern
 * and a few special tokens. They become the tokenizer.json that Hugging Face reads, and from there go the way of any other.
 */
import { readFileSync } from "node:fs";
import { assert } from "../../util/errors.ts";
import { charsOfBytes } from "./byte_alphabet.ts";
import { TokenTable } from "./token_table.ts";
import type { AddedToken, BpeModel, TokenizerJson } from "./tokenizer_json.ts";
import cl100k from "./vocabularies/cl100k_base.zst" with { type: "file" };
import o200k from "./vocabularies/o200k_base.zst" with { type: "file" };
import r50k from "./vocabularies/r50k_base.zst" with { type: "file" };

const CONTRACTIONS = "'s|'t|'re|'ve|'m|'ll|'d";
const UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const BEFORE_WORD = "[^\\r\\n\\p{L}\\p{N}]?";
const SPACES = "\\s+(?!\\S)|\\s+";

/** As Hugging Face writes them. `\z` first: tiktoken keeps the white space at a text's end together. */
export const PATTERNS = {
  r50k: `${CONTRACTIONS}| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|${SPACES}`,
  cl100k: `(?i:${CONTRACTIONS})|${BEFORE_WORD}\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s+\\z|\\s*[\\r\\n]+|${SPACES}`,
  o200k: [
    `${BEFORE_WORD}${UPPER}*${LOWER}+(?i:${CONTRACTIONS})?`,
    `${BEFORE_WORD}${UPPER}+${LOWER}*(?i:${CONTRACTIONS})?`,
    `\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|${SPACES}`,
  ].join("|"),
} as const;

interface Encoding {
  readonly file: string;
  readonly pattern: string;
  readonly special: Readonly<Record<string, number>>;
}

const R50K: Encoding = {
  file: r50k,
  pattern: PATTERNS.r50k,
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
  const tokens: [number, Uint8Array][] = [];
  for (let at = 0; at < packed.length; ) {
    const end = at + 1 + (packed[at] ?? 0);
    tokens.push([tokens.length, packed.subarray(at + 1, end)]);
    at = end;
  }
  return TokenTable.of(tokens, tokens.length);
}

/** Merges of a token: how its bytes, merged by the ranks below its own, become two parts. */
class RankMerges {
  private readonly ranks = new Map<string, number>();

  constructor(private readonly tokens: readonly string[]) {
    tokens.forEach((token, rank) => {
      this.ranks.set(token, rank);
    });
  }

  /** The two tokens that become the token of this rank, if bytes ever merge into it. */
  partsOf(rank: number): readonly [string, string] | undefined {
    const parts = Array.from(this.tokens[rank] ?? "");
    while (parts.length > 2) {
      let best = rank;
      let at = -1;
      for (let i = 0; i + 1 < parts.length; i++) {
        const found = this.ranks.get(`${parts[i]}${parts[i + 1]}`) ?? rank;
        if (found < best) [best, at] = [found, i];
      }
      if (at < 0) return undefined;
      parts.splice(at, 2, `${parts[at]}${parts[at + 1]}`);
    }
    const [left, right] = parts;
    return left === undefined || right === undefined ? undefined : [left, right];
  }
}

function modelOf(table: TokenTable): BpeModel {
  const tokens = Array.from({ length: table.size }, (_, id) => charsOfBytes(table.bytesOf(id)));
  const ranks = new RankMerges(tokens);
  const merges: (readonly [string, string])[] = [];
  tokens.forEach((token, rank) => {
    if (token.length < 2) return;
    const parts = ranks.partsOf(rank);
    if (parts !== undefined) merges.push(parts);
  });
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
    vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
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

function jsonOf(encoding: Encoding): TokenizerJson {
  const table = unpack(Bun.zstdDecompressSync(readFileSync(encoding.file)));
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: Object.entries(encoding.special).map(addedToken),
    normalizer: null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        {
          type: "Split",
          pattern: { Regex: encoding.pattern },
          behavior: "Isolated",
          invert: false,
        },
        { type: "ByteLevel", ...byteLevel },
      ],
    },
    post_processor: null,
    decoder: { type: "ByteLevel", ...byteLevel },
    model: modelOf(table),
  };
}

const CONFIG = {
  tokenizer_class: "PreTrainedTokenizerFast",
  bos_token: "<|endoftext|>",
  eos_token: "<|endoftext|>",
  clean_up_tokenization_spaces: false,
};

export function openaiTokenizer(name: string): {
  readonly json: TokenizerJson;
  readonly config: Readonly<Record<string, unknown>>;
} {
  const encoding = ENCODINGS[name];
  assert(encoding !== undefined, `no encoding ${name}`);
  return { json: jsonOf(encoding), config: CONFIG };
}
