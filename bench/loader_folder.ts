/** @file A folder of tokens of any size for measurements: random ids, documents of realistic lengths. */
import { closeSync, existsSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { bytesTokenizer } from "../src/data/bytes_tokenizer.ts";
import {
  INDEX_FILE,
  type Shard,
  type ShardFile,
  TOKENS_FORMAT,
  TOKENS_VERSION,
  type TokensIndex,
} from "../src/data/shards/format.ts";
import { WindowHash } from "../src/util/window_hash.ts";

export interface GeneratedFolder {
  readonly kind: "stream" | "rows";
  readonly megabytes: number;
  /** Ids are below. */
  readonly vocabulary: number;
  /** Tokens of a document of rows, at most. */
  readonly longest: number;
}

const SHARD_TOKENS = 25_000_000;

let state = 1;
function random(): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
}

/** Log-normal around a few hundred tokens, as web pages are. */
function documentLength(longest: number): number {
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Math.max(2, Math.min(longest, Math.round(Math.exp(5.5 + normal))));
}

function writeHashed(folder: string, name: string, parts: Iterable<Uint8Array>): ShardFile {
  const hash = new WindowHash();
  const file = openSync(join(folder, name), "w");
  let bytes = 0;
  for (const part of parts) {
    writeSync(file, part);
    hash.update(part);
    bytes += part.length;
  }
  closeSync(file);
  return { file: name, bytes, hash: hash.digest() };
}

/** Writes it unless it is there. Returns the path. */
export function generateFolder(root: string, options: GeneratedFolder): string {
  const { kind, megabytes, vocabulary, longest } = options;
  const folder = join(root, `${kind}-${megabytes}-${vocabulary}-${longest}`);
  if (existsSync(join(folder, INDEX_FILE))) return folder;
  mkdirSync(folder, { recursive: true });
  const block = Uint16Array.from({ length: 1 << 20 }, () => Math.floor(random() * vocabulary));
  const shards: Shard[] = [];
  for (let left = (megabytes * 1e6) / 2; left > 0; left -= SHARD_TOKENS) {
    const wanted = Math.min(left, SHARD_TOKENS);
    const starts = [0];
    let count = 0;
    while (count < wanted) {
      const most = kind === "rows" ? longest : 100_000;
      count += documentLength(most);
      starts.push(count);
    }
    const blocks = function* (): Generator<Uint8Array> {
      for (let at = 0; at < count; at += block.length)
        yield new Uint8Array(block.buffer, 0, 2 * Math.min(block.length, count - at));
    };
    const words = BigUint64Array.from(starts, (start) => BigInt(start));
    const name = `train-${String(shards.length).padStart(5, "0")}`;
    shards.push({
      tokens: writeHashed(folder, `${name}.tokens`, blocks()),
      starts: writeHashed(folder, `${name}.starts`, [new Uint8Array(words.buffer)]),
      ...{ mask: null, token_count: count, document_count: starts.length - 1 },
      ...{ text_bytes: count, trained_count: count },
    });
  }
  const { name, fingerprint } = bytesTokenizer;
  const index: TokensIndex = {
    ...{ format: TOKENS_FORMAT, version: TOKENS_VERSION, program_version: "bench", kind },
    ...{ dtype: "u16", tokenizer: { name, fingerprint, vocab_size: vocabulary }, template: null },
    ...{ splits: { train: shards, validation: [] }, source: {}, counts: {} },
  };
  writeFileSync(join(folder, INDEX_FILE), JSON.stringify(index));
  return folder;
}
