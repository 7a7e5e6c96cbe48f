/** @file The native reader of records for a job, where it gives exactly what records, formatter and splitter would. */
import type { NativeRecords } from "../../runtime/index.ts";
import type { Tokenizer } from "../tokenizer.ts";
import { ByteLevelTokenizer } from "../tokenizers/byte_level.ts";
import { Native } from "../tokenizers/native.ts";
import type { Formatter } from "./formatter.ts";
import type { Splitter } from "./split.ts";
import { TextFormatter } from "./text_formatter.ts";

/** Bun's hash takes this many bits of a seed. */
const SEED_BITS = 32;
const HASH_RANGE = 2n ** 64n;
const NARROW_TOKENS = 1 << 8;

/** Null: text is composed first, is no field by itself, or the tokenizer is not native. */
export function nativeRecordsOf(
  tokenizer: Tokenizer,
  formatter: Formatter,
  { seed, below }: Splitter,
): NativeRecords | null {
  if (!(formatter instanceof TextFormatter) || !(tokenizer instanceof ByteLevelTokenizer))
    return null;
  const { encoder, vocabSize } = tokenizer;
  if (!(encoder instanceof Native) || encoder.composes || vocabSize <= NARROW_TOKENS) return null;
  const { field, before, after } = formatter;
  if (!field.isWellFormed() || below < 0n || below >= HASH_RANGE) return null;
  const taken = BigInt.asUintN(SEED_BITS, seed);
  return encoder.native.records({ field, seed: taken, below, before, after });
}
