/** @file A folder of tokens: its index, its files against the index, and the tokens of its splits. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { DataError } from "../../util/errors.ts";
import { FileReader } from "./file_reader.ts";
import { INDEX_FILE, type ShardFile, type SplitName, type TokensIndex } from "./format.ts";
import { parseIndex } from "./read_index.ts";
import { type Damage, damageOf } from "./shard_hash.ts";
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

  /** Every file, hashed when it is asked for; damage is null for one that is sound. Lets other work run in between. */
  async *checks(): AsyncGenerator<{ readonly file: ShardFile; readonly damage: Damage | null }> {
    for (const file of filesOf(this.index)) yield { file, damage: await damageOf(this.path, file) };
  }

  /** Throws a DataError naming the first file that is damaged. */
  async verify(): Promise<void> {
    for await (const { file, damage } of this.checks())
      if (damage !== null)
        throw new DataError(
          `${join(this.path, file.file)} is damaged between byte ${damage.from} and ${damage.to}: the hash to there is ${damage.hash}`,
          { hint: "remove the folder and tokenize again, or copy it anew" },
        );
  }

  close(): void {
    this.files.close();
  }
}
