/**
 * @file From finished parts to the folder of tokens: parts take their places in the order of the input, and index.json is written last.
 * Every step can be repeated, so a kill in between is finished by the next attempt.
 */
import { existsSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { syncFolder, writeAtomically } from "../../util/atomic_file.ts";
import { VERSION } from "../../util/version.ts";
import {
  INDEX_FILE,
  type Shard,
  type ShardFile,
  type SplitName,
  TOKENS_FORMAT,
  TOKENS_VERSION,
  type TokensIndex,
} from "../shards/format.ts";
import { hashedFile } from "../shards/shard_hash.ts";
import type { PartResult } from "./run_part.ts";
import { partFile } from "./split_writer.ts";

export interface CommittedPart {
  readonly folder: string;
  readonly result: PartResult;
}

const OURS = /^(train|validation)-\d{5,}\.(tokens|starts|mask)$/;

export const shardName = (split: SplitName, number: number): string =>
  `${split}-${String(number).padStart(5, "0")}`;

function place(part: CommittedPart, split: SplitName, out: string, name: string, masked: boolean) {
  const move = (what: "tokens" | "starts" | "mask"): ShardFile => {
    const from = partFile(part.folder, split, what);
    const file = `${name}.${what}`;
    if (existsSync(from)) renameSync(from, join(out, file));
    return hashedFile(out, file);
  };
  const state = part.result.splits[split];
  const shard: Shard = {
    tokens: move("tokens"),
    starts: move("starts"),
    mask: masked ? move("mask") : null,
    token_count: state.tokens,
    document_count: state.documents,
    text_bytes: state.text_bytes,
    trained_count: state.trained,
  };
  return shard;
}

function summed(parts: readonly CommittedPart[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { result } of parts)
    for (const [name, count] of Object.entries(result.counts))
      counts[name] = (counts[name] ?? 0) + count;
  return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));
}

export type IndexHead = Pick<TokensIndex, "kind" | "dtype" | "tokenizer" | "template" | "source">;

/** Writes the index and returns it; `work` is removed. */
export function commitFolder(
  out: string,
  work: string,
  parts: readonly CommittedPart[],
  head: IndexHead,
  masked: boolean,
): TokensIndex {
  const splits: Record<SplitName, Shard[]> = { train: [], validation: [] };
  for (const part of parts)
    for (const split of ["train", "validation"] as const)
      if (part.result.splits[split].documents > 0) {
        const name = shardName(split, splits[split].length);
        splits[split].push(place(part, split, out, name, masked));
      }
  const named = new Set(
    [...splits.train, ...splits.validation].flatMap(({ tokens, starts, mask }) =>
      [tokens, starts, mask].map((file) => file?.file),
    ),
  );
  // Shards of an attempt with other settings that was killed while it took its place.
  for (const file of readdirSync(out))
    if (OURS.test(file) && !named.has(file)) rmSync(join(out, file));
  syncFolder(out);
  const bad = parts.flatMap(({ result }) => result.bad);
  const index: TokensIndex = {
    format: TOKENS_FORMAT,
    version: TOKENS_VERSION,
    program_version: VERSION,
    ...head,
    source: { ...head.source, ...(bad.length > 0 ? { bad } : {}) },
    splits,
    counts: summed(parts),
  };
  writeAtomically(join(out, INDEX_FILE), `${JSON.stringify(index, null, 1)}\n`);
  rmSync(work, { recursive: true, force: true });
  return index;
}
