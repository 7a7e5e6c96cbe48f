/** @file index.json of a folder of tokens, checked to the last key: everything the loader relies on is tested here. */
import { DataError } from "../../util/errors.ts";
import {
  type Shard,
  type ShardFile,
  TOKENS_FORMAT,
  TOKENS_VERSION,
  type TokensIndex,
} from "./format.ts";

export const DTYPE_BYTES = { u8: 1, u16: 2, u32: 4 } as const;
/** Where a document starts is a u64. */
export const START_BYTES = 8;

type Json = Readonly<Record<string, unknown>>;

/** Values of one file, and where in it they stand. */
class Reader {
  private readonly file: string;

  constructor(file: string) {
    this.file = file;
  }

  fail(where: string, expected: string, got: unknown): never {
    const shown = JSON.stringify(got)?.slice(0, 80) ?? "nothing";
    throw new DataError(`${this.file}: ${where}: expected ${expected}, got ${shown}`);
  }

  map(value: unknown, where: string, keys: readonly string[]): Json {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      return this.fail(where, "a map", value);
    for (const key of Object.keys(value))
      if (!keys.includes(key))
        this.fail(`${where}.${key}`, `only the keys ${keys.join(", ")}`, key);
    return value as Json;
  }

  text(value: unknown, where: string): string {
    return typeof value === "string" && value !== "" ? value : this.fail(where, "a text", value);
  }

  count(value: unknown, where: string, min = 0): number {
    const fits = typeof value === "number" && Number.isSafeInteger(value) && value >= min;
    return fits ? value : this.fail(where, `an integer >= ${min}`, value);
  }

  oneOf<const T extends string>(value: unknown, where: string, names: readonly T[]): T {
    return names.find((name) => name === value) ?? this.fail(where, names.join(" or "), value);
  }

  list(value: unknown, where: string): readonly unknown[] {
    return Array.isArray(value) ? value : this.fail(where, "a list", value);
  }
}

function shardFile(reader: Reader, value: unknown, where: string, bytes: number): ShardFile {
  const map = reader.map(value, where, ["file", "bytes", "hash", "steps"]);
  const file = reader.text(map.file, `${where}.file`);
  if (/[/\\\0]/.test(file) || file.startsWith("."))
    reader.fail(`${where}.file`, "the name of a file beside index.json", file);
  const has = reader.count(map.bytes, `${where}.bytes`);
  if (has !== bytes) reader.fail(`${where}.bytes`, `${bytes}, by the counts`, has);
  const hash = reader.text(map.hash, `${where}.hash`);
  if (map.steps === undefined) return { file, bytes, hash };
  const at = `${where}.steps`;
  const steps = reader.list(map.steps, at).map((step, i) => reader.text(step, `${at}[${i}]`));
  return { file, bytes, hash, steps };
}

const SHARD_KEYS = [
  ...["tokens", "starts", "mask", "token_count", "document_count", "text_bytes"],
  "trained_count",
];

function shard(reader: Reader, value: unknown, where: string, tokenBytes: number): Shard {
  const map = reader.map(value, where, SHARD_KEYS);
  const count = (key: string): number => reader.count(map[key], `${where}.${key}`);
  const token_count = count("token_count");
  const document_count = count("document_count");
  const trained_count = count("trained_count");
  if (document_count === 0 && token_count > 0)
    reader.fail(`${where}.document_count`, "at least 1 where there are tokens", document_count);
  const file = (key: string, bytes: number): ShardFile =>
    shardFile(reader, map[key], `${where}.${key}`, bytes);
  const mask = map.mask === null ? null : file("mask", token_count);
  const fits = mask === null ? trained_count === token_count : trained_count <= token_count;
  if (!fits)
    reader.fail(
      `${where}.trained_count`,
      `token_count ${token_count} or, with a mask, less`,
      trained_count,
    );
  return {
    tokens: file("tokens", token_count * tokenBytes),
    starts: file("starts", (document_count + 1) * START_BYTES),
    ...{ mask, token_count, document_count, trained_count, text_bytes: count("text_bytes") },
  };
}

function splitsOf(reader: Reader, value: unknown, tokenBytes: number): TokensIndex["splits"] {
  const splits = reader.map(value, "splits", ["train", "validation"]);
  const of = (name: string): Shard[] =>
    reader
      .list(splits[name], `splits.${name}`)
      .map((each, i) => shard(reader, each, `splits.${name}[${i}]`, tokenBytes));
  const all = { train: of("train"), validation: of("validation") };
  const seen = new Set<string>();
  for (const { tokens, starts, mask } of [...all.train, ...all.validation])
    for (const each of [tokens, starts, ...(mask === null ? [] : [mask])]) {
      if (seen.has(each.file)) reader.fail("splits", "every file once", each.file);
      seen.add(each.file);
    }
  return all;
}

function fingerprinted(reader: Reader, value: unknown, where: string, more: readonly string[]) {
  const map = reader.map(value, where, ["name", "fingerprint", ...more]);
  const name = reader.text(map.name, `${where}.name`);
  return { map, name, fingerprint: reader.text(map.fingerprint, `${where}.fingerprint`) };
}

function tokenizerOf(reader: Reader, value: unknown, tokenBytes: number) {
  const { map, name, fingerprint } = fingerprinted(reader, value, "tokenizer", ["vocab_size"]);
  const vocab_size = reader.count(map.vocab_size, "tokenizer.vocab_size", 1);
  const most = 2 ** (8 * tokenBytes);
  if (vocab_size > most)
    reader.fail("tokenizer.vocab_size", `at most ${most}, which the dtype holds`, vocab_size);
  return { name, fingerprint, vocab_size };
}

function checked(reader: Reader, json: unknown): TokensIndex {
  const map = reader.map(json, "the file", [
    ...["format", "version", "program_version", "kind", "dtype", "tokenizer", "template", "splits"],
    ...["source", "counts"],
  ]);
  if (map.version !== TOKENS_VERSION)
    reader.fail("version", `${TOKENS_VERSION}, all that this program reads`, map.version);
  const kind = reader.oneOf(map.kind, "kind", ["stream", "rows", "pairs"]);
  const dtype = reader.oneOf(map.dtype, "dtype", ["u8", "u16", "u32"]);
  const tokenBytes = DTYPE_BYTES[dtype];
  const splits = splitsOf(reader, map.splits, tokenBytes);
  for (const { document_count: count, starts } of [...splits.train, ...splits.validation])
    if (kind === "pairs" && count % 2 !== 0)
      reader.fail(starts.file, "two documents a pair", `${count} documents`);
  const counts = reader.map(map.counts, "counts", Object.keys(map.counts ?? {}));
  for (const [key, value] of Object.entries(counts)) reader.count(value, `counts.${key}`);
  const template =
    map.template === null ? null : fingerprinted(reader, map.template, "template", []);
  return {
    ...{ format: TOKENS_FORMAT, version: TOKENS_VERSION, kind, dtype, splits },
    program_version: reader.text(map.program_version, "program_version"),
    tokenizer: tokenizerOf(reader, map.tokenizer, tokenBytes),
    template: template && { name: template.name, fingerprint: template.fingerprint },
    source: reader.map(map.source, "source", Object.keys(map.source ?? {})),
    counts: counts as Readonly<Record<string, number>>,
  };
}

/** `file` is how messages name it. Throws a DataError that says what does not fit. */
export function parseIndex(text: string, file: string): TokensIndex {
  const reader = new Reader(file);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new DataError(`${file}: not JSON: ${error instanceof Error ? error.message : error}`);
  }
  if ((json as Json | null)?.format !== TOKENS_FORMAT)
    throw new DataError(`${file} is not the index of a folder of tokens ("${TOKENS_FORMAT}")`);
  return checked(reader, json);
}
