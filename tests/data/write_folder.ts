/** @file Small folders of tokens for tests, written as the format says. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bytesTokenizer } from "../../src/data/bytes_tokenizer.ts";
import {
  INDEX_FILE,
  type Shard,
  type ShardFile,
  type SplitName,
  TOKENS_FORMAT,
  TOKENS_VERSION,
  type TokenizerRecord,
  type TokensIndex,
  type TokensKind,
} from "../../src/data/shards/format.ts";
import { WindowHash } from "../../src/util/window_hash.ts";

/** Ids of a document; a negative id stands for its complement, and is not trained on. */
export type Document = readonly number[];

export interface FolderOptions {
  readonly kind?: TokensKind;
  readonly dtype?: TokensIndex["dtype"];
  readonly tokenizer?: Partial<TokenizerRecord>;
  /** Documents by shard. */
  readonly train?: readonly (readonly Document[])[];
  readonly validation?: readonly (readonly Document[])[];
  readonly masked?: boolean;
}

const ARRAYS = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array };

export function writeFolder(path: string, options: FolderOptions): string {
  const { kind = "stream", dtype = "u16", masked = false } = options;
  mkdirSync(path, { recursive: true });
  const file = (name: string, content: Uint8Array): ShardFile => {
    writeFileSync(join(path, name), content);
    const hash = new WindowHash();
    hash.update(content);
    return { file: name, bytes: content.length, hash: hash.digest() };
  };
  const shard = (split: SplitName, documents: readonly Document[], number: number): Shard => {
    const ids = documents.flat();
    const tokens = new ARRAYS[dtype](ids.map((id) => (id < 0 ? ~id : id)));
    const starts = new BigUint64Array(documents.length + 1);
    documents.forEach((document, i) => {
      starts[i + 1] = (starts[i] ?? 0n) + BigInt(document.length);
    });
    const name = `${split}-${String(number).padStart(5, "0")}`;
    const mask = Uint8Array.from(ids, (id) => (id < 0 ? 0 : 1));
    return {
      tokens: file(`${name}.tokens`, new Uint8Array(tokens.buffer)),
      starts: file(`${name}.starts`, new Uint8Array(starts.buffer)),
      mask: masked ? file(`${name}.mask`, mask) : null,
      token_count: ids.length,
      document_count: documents.length,
      text_bytes: ids.length,
      trained_count: masked ? mask.reduce((sum, kept) => sum + kept, 0) : ids.length,
    };
  };
  const shards = (split: SplitName) =>
    (options[split] ?? []).map((documents, i) => shard(split, documents, i));
  const { name, fingerprint, vocabSize } = bytesTokenizer;
  const index: TokensIndex = {
    ...{ format: TOKENS_FORMAT, version: TOKENS_VERSION, program_version: "0.0.0", kind, dtype },
    tokenizer: { name, fingerprint, vocab_size: vocabSize, ...options.tokenizer },
    template: null,
    splits: { train: shards("train"), validation: shards("validation") },
    source: {},
    counts: {},
  };
  writeFileSync(join(path, INDEX_FILE), `${JSON.stringify(index, null, 2)}\n`);
  return path;
}

/** Documents of bytes with these lengths; every token tells its document and its place in it. */
export const documentsOf = (lengths: readonly number[], salt = 0): Document[] =>
  lengths.map((length, d) => Array.from({ length }, (_, i) => (salt + d * 37 + i * 11 + 1) % 251));
