/** @file A folder of tokens: its index, its files against the index, and the tokens of its splits. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { DataError } from "../../util/errors.ts";
import { hashFile } from "../../util/window_hash.ts";
import { FileReader } from "./file_reader.ts";
import { INDEX_FILE, type ShardFile, type SplitName, type TokensIndex } from "./format.ts";
import { parseIndex } from "./read_index.ts";
import { ShardStore } from "./shard_store.ts";

export function readIndex(folder: string): TokensIndex {
  const path = join(folder, INDEX_FILE);
  const hint =
    "a folder of tokens is what a tokenization job writes, with its index.json written last";
  const fail = (why: string): never => {
    throw new DataError(why, { hint });
  };
  const stat = statSync(folder, { throwIfNoEntry: false });
  if (stat === undefined) return fail(`${folder} does not exist`);
  if (!stat.isDirectory()) return fail(`${folder} is not a folder of tokens`);
  if (statSync(path, { throwIfNoEntry: false }) === undefined)
    return fail(`${folder} is no folder of tokens: it holds no ${INDEX_FILE}`);
  return parseIndex(readFileSync(path, "utf8"), path);
}

const filesOf = (index: TokensIndex): ShardFile[] =>
  [...index.splits.train, ...index.splits.validation].flatMap(({ tokens, starts, mask }) =>
    mask === null ? [tokens, starts] : [tokens, starts, mask],
  );

export class TokenFolder {
  readonly path: string;
  readonly index: TokensIndex;
  private readonly files = new FileReader();

  private constructor(path: string, index: TokensIndex) {
    this.path = path;
    this.index = index;
  }

  /** Throws a DataError unless the index is sound and every file has the size that it says. */
  static open(path: string): TokenFolder {
    const index = readIndex(path);
    for (const { file, bytes } of filesOf(index)) {
      const full = join(path, file);
      const stat = statSync(full, { throwIfNoEntry: false });
      if (stat === undefined) throw new DataError(`${full} is missing`);
      if (stat.size !== bytes)
        throw new DataError(`${full} has ${stat.size} bytes, expected ${bytes} by ${INDEX_FILE}`);
    }
    return new TokenFolder(path, index);
  }

  /** Of all content: equal exactly for folders that hold the same. */
  get fingerprint(): string {
    const { kind, dtype, tokenizer, splits } = this.index;
    const hashes = Object.values(splits).map((shards) =>
      shards.map(({ tokens, starts, mask }) => [tokens.hash, starts.hash, mask?.hash ?? null]),
    );
    const text = JSON.stringify([kind, dtype, tokenizer.fingerprint, hashes]);
    return new Bun.CryptoHasher("sha256").update(text).digest("hex");
  }

  store(split: SplitName): ShardStore {
    return new ShardStore(this.path, this.index, split, this.files);
  }

  /** Hashes every file; throws a DataError naming the first that is damaged. Lets other work run in between. */
  async verify(): Promise<void> {
    for (const file of filesOf(this.index)) {
      const path = join(this.path, file.file);
      const hash = await hashFile(path);
      if (hash !== file.hash)
        throw new DataError(`${path} is damaged: its hash is ${hash}, expected ${file.hash}`, {
          hint: "remove the folder and tokenize again, or copy it anew",
        });
    }
  }

  close(): void {
    this.files.close();
  }
}
