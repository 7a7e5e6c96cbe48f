/** @file Learns a byte-level BPE vocabulary from files and writes it as Hugging Face's tokenizers do. */
import { TokenizerTrainer, type WordPattern } from "../../runtime/index.ts";
import { ConfigError, DataError } from "../../util/errors.ts";
import { byteStream } from "../sources/byte_stream.ts";
import { expandEntry } from "../sources/expand.ts";
import { PieceReader } from "../sources/read_piece.ts";
import type { SourceFile } from "../sources/source_file.ts";
import { BYTE_CHARS } from "./byte_alphabet.ts";
import { PATTERNS } from "./patterns.ts";
import { textAsBytes } from "./text_bytes.ts";
import type { AddedToken, BpeModel, TokenizerJson } from "./tokenizer_json.ts";

/** Patterns that a vocabulary can be learned for. */
export const TRAIN_PATTERNS = {
  gpt2: { regex: PATTERNS.gpt2, words: { family: "gpt2", digits: 0 } },
  gpt4: { regex: PATTERNS.gpt4, words: { family: "gpt4", digits: 3 } },
  gpt4o: { regex: PATTERNS.o200k, words: { family: "gpt4o", digits: 3 } },
} as const satisfies Record<
  string,
  { readonly regex: string; readonly words: Pick<WordPattern, "family" | "digits"> }
>;

export interface TrainOptions {
  readonly files: readonly string[];
  readonly textField: string;
  /** Of everything: bytes, merges and special tokens. */
  readonly vocabSize: number;
  readonly pattern: keyof typeof TRAIN_PATTERNS;
  /** The first one ends documents. */
  readonly special: readonly string[];
  /** Rarer pairs are not merged. */
  readonly minFrequency: number;
  readonly onProgress?: (bytes: number) => void;
}

export interface TrainedTokenizer {
  readonly files: Readonly<Record<string, string>>;
  readonly vocabSize: number;
  readonly merges: number;
  readonly bytes: number;
}

/** A text of its own is counted whole, a large one piece by piece. */
async function countText(
  trainer: TokenizerTrainer,
  file: SourceFile,
  onBytes: (bytes: number) => void,
): Promise<void> {
  let rest: Uint8Array = new Uint8Array(0);
  for await (const part of byteStream(file)) {
    const text = rest.length === 0 ? part : Buffer.concat([rest, part]);
    rest = Uint8Array.from(text.subarray(trainer.add(text, false)));
    onBytes(part.length);
  }
  trainer.add(rest, true);
}

async function countRecords(
  trainer: TokenizerTrainer,
  file: SourceFile,
  textField: string,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const columns = [textField];
  const options = { textField, txtDocuments: "file", maxRecordBytes: 1 << 28, columns } as const;
  const reader = new PieceReader([file], options);
  const piece = { file: 0, kind: "whole" } as const;
  for await (const batch of reader.batches(piece, null)) {
    for (const [i, item] of batch.items.entries()) {
      const text = "bad" in item ? undefined : item.value[textField];
      if (typeof text === "string") {
        trainer.add(textAsBytes(text), true);
        continue;
      }
      const place = await reader.placeOf(piece, batch.position(i));
      const why = "bad" in item ? item.bad : `no text in the field "${textField}"`;
      throw new DataError(`${place.path}:${place.line}: ${why}`, {
        hint: "--text-field names the field that holds the text",
        place,
      });
    }
    onBytes(batch.bytes);
  }
  await reader.close();
}

const addedToken = (content: string, id: number): AddedToken => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});

function modelOf(merges: Uint32Array): BpeModel {
  const tokens = BYTE_CHARS.toSorted((a, b) => a.charCodeAt(0) - b.charCodeAt(0));
  const pairs: (readonly [string, string])[] = [];
  for (let i = 0; i < merges.length; i += 2) {
    const [left = "", right = ""] = [tokens[merges[i] ?? 0], tokens[merges[i + 1] ?? 0]];
    pairs.push([left, right]);
    tokens.push(left + right);
  }
  return {
    type: "BPE",
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: false,
    vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
    merges: pairs,
  };
}

function jsonOf(options: TrainOptions, merges: Uint32Array): TokenizerJson {
  const first = 256 + merges.length / 2;
  const byteLevel = { add_prefix_space: false, trim_offsets: true, use_regex: false };
  const pattern = { Regex: TRAIN_PATTERNS[options.pattern].regex };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: options.special.map((content, i) => addedToken(content, first + i)),
    normalizer: null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern, behavior: "Isolated", invert: false },
        { type: "ByteLevel", ...byteLevel },
      ],
    },
    post_processor: null,
    decoder: { type: "ByteLevel", ...byteLevel },
    model: modelOf(merges),
  };
}

function checkOptions(options: TrainOptions): void {
  const least = 256 + options.special.length;
  if (options.vocabSize < least)
    throw new ConfigError(
      `--vocab-size ${options.vocabSize} is less than the 256 bytes and ${options.special.length} special tokens`,
    );
  const twice = options.special.find((each, i) => options.special.indexOf(each) !== i);
  if (twice !== undefined || options.special.includes(""))
    throw new ConfigError(`special tokens must differ and have text, got "${twice ?? ""}"`);
}

export async function trainTokenizer(options: TrainOptions): Promise<TrainedTokenizer> {
  checkOptions(options);
  const sources = options.files.flatMap(expandEntry);
  let bytes = 0;
  const onBytes = (more: number): void => {
    bytes += more;
    options.onProgress?.(bytes);
  };
  const trainer = new TokenizerTrainer(TRAIN_PATTERNS[options.pattern].words);
  try {
    for (const source of sources)
      if (source.content === "txt") await countText(trainer, source, onBytes);
      else await countRecords(trainer, source, options.textField, onBytes);
    const wanted = options.vocabSize - 256 - options.special.length;
    const merges = trainer.learn(wanted, options.minFrequency);
    const [end] = options.special;
    const config = {
      tokenizer_class: "PreTrainedTokenizerFast",
      ...(end === undefined ? {} : { bos_token: end, eos_token: end }),
      clean_up_tokenization_spaces: false,
    };
    return {
      files: {
        "tokenizer.json": `${JSON.stringify(jsonOf(options, merges), null, 1)}\n`,
        "tokenizer_config.json": `${JSON.stringify(config, null, 2)}\n`,
      },
      vocabSize: 256 + merges.length / 2 + options.special.length,
      merges: merges.length / 2,
      bytes,
    };
  } finally {
    trainer.close();
  }
}
