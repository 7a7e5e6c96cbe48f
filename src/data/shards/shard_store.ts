/**
 * @file The tokens of one split of a folder, its shards end to end. Documents never cross shards; windows of a stream do. Tokens
 * and masks are read by position, the starts of documents (few, and searched) are mapped.
 */
import { join } from "node:path";
import { assert, DataError } from "../../util/errors.ts";
import type { TokenStore } from "../store.ts";
import type { FileReader } from "./file_reader.ts";
import type { Shard, SplitName, TokensIndex } from "./format.ts";
import { DTYPE_BYTES } from "./read_index.ts";

interface Placed {
  readonly shard: Shard;
  readonly firstToken: number;
  readonly firstDocument: number;
}

const ARRAYS = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array } as const;

/** The last shard whose first item is at or before `index`. */
function shardAt(
  shards: readonly Placed[],
  index: number,
  first: (shard: Placed) => number,
): number {
  let [low, high] = [0, shards.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const shard = shards[middle];
    if (shard !== undefined && first(shard) <= index) low = middle;
    else high = middle - 1;
  }
  return low;
}

export class ShardStore implements TokenStore {
  readonly name: string;
  readonly length: number;
  readonly documentCount: number;
  readonly masked: boolean;
  private readonly folder: string;
  private readonly dtype: TokensIndex["dtype"];
  private readonly files: FileReader;
  private readonly shards: readonly Placed[];
  /** Of each shard, once one of its documents was looked up: u64 as two words. */
  private readonly starts = new Map<Shard, Uint32Array>();
  private scratch: InstanceType<(typeof ARRAYS)[keyof typeof ARRAYS]>;

  constructor(folder: string, index: TokensIndex, split: SplitName, files: FileReader) {
    this.folder = folder;
    this.dtype = index.dtype;
    this.files = files;
    this.name = `${folder} (${split})`;
    let [firstToken, firstDocument] = [0, 0];
    this.shards = index.splits[split]
      .filter((shard) => shard.document_count > 0)
      .map((shard) => {
        const placed = { shard, firstToken, firstDocument };
        firstToken += shard.token_count;
        firstDocument += shard.document_count;
        return placed;
      });
    this.length = firstToken;
    this.documentCount = firstDocument;
    this.masked = this.shards.some(({ shard }) => shard.mask !== null);
    this.scratch = new ARRAYS[this.dtype](0);
  }

  read(start: number, target: Int32Array): void {
    const bytesEach = DTYPE_BYTES[this.dtype];
    this.pieces(start, target.length, ({ tokens }, offset, at, count) => {
      if (this.scratch.length < count) this.scratch = new ARRAYS[this.dtype](count);
      const ids = this.scratch.subarray(0, count);
      const bytes = new Uint8Array(ids.buffer, 0, ids.byteLength);
      this.files.read(join(this.folder, tokens.file), offset * bytesEach, bytes);
      target.set(ids, at);
    });
  }

  readMask(start: number, target: Uint8Array): void {
    this.pieces(start, target.length, ({ mask }, offset, at, count) => {
      const part = target.subarray(at, at + count);
      if (mask === null) part.fill(1);
      else this.files.read(join(this.folder, mask.file), offset, part);
    });
  }

  documentStart(index: number): number {
    if (index >= this.documentCount) return this.length;
    const placed = this.shards[shardAt(this.shards, index, (shard) => shard.firstDocument)];
    assert(placed !== undefined, `document ${index} of ${this.documentCount}`);
    const words = this.startsOf(placed.shard);
    const at = 2 * (index - placed.firstDocument);
    return placed.firstToken + (words[at] ?? 0) + (words[at + 1] ?? 0) * 2 ** 32;
  }

  /** Calls `visit` with the parts of start .. start + length - 1 that lie in one shard each. */
  private pieces(
    start: number,
    length: number,
    visit: (shard: Shard, offset: number, at: number, count: number) => void,
  ): void {
    assert(start >= 0 && start + length <= this.length, `tokens ${start} + ${length} of a split`);
    let index = shardAt(this.shards, start, (shard) => shard.firstToken);
    for (let at = 0; at < length; index++) {
      const placed = this.shards[index];
      assert(placed !== undefined, "shards hold all tokens of their split");
      const offset = start + at - placed.firstToken;
      const count = Math.min(length - at, placed.shard.token_count - offset);
      if (count > 0) visit(placed.shard, offset, at, count);
      at += Math.max(0, count);
    }
  }

  private startsOf(shard: Shard): Uint32Array {
    const known = this.starts.get(shard);
    if (known !== undefined) return known;
    const path = join(this.folder, shard.starts.file);
    const bytes = Bun.mmap(path);
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, shard.starts.bytes / 4);
    this.expectAscending(words, path, shard);
    this.starts.set(shard, words);
    return words;
  }

  /** What follows relies on it: a document that ended before it starts would be read as gigabytes. */
  private expectAscending(words: Uint32Array, path: string, shard: Shard): void {
    let before = 0;
    const fail = (document: number, start: number): never => {
      throw new DataError(`${path}: document ${document} starts at ${start}, after ${before}`, {
        hint: `the file is damaged: the shard has ${shard.token_count} tokens`,
      });
    };
    for (let i = 0; i < words.length; i += 2) {
      const start = (words[i] ?? 0) + (words[i + 1] ?? 0) * 2 ** 32;
      if (start < before || start > shard.token_count || (i === 0 && start > 0)) fail(i / 2, start);
      before = start;
    }
    if (before !== shard.token_count) fail(shard.document_count, before);
  }
}
