/** @file A folder of tokens as files that llm.c or nanoGPT reads. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
} from "node:fs";
import { join } from "node:path";
import { syncFolder, writeAll } from "../../util/atomic_file.ts";
import { ConfigError, DataError, UserError } from "../../util/errors.ts";
import { type ForeignFormat, llmcHeader } from "./foreign.ts";
import type { Shard, SplitName } from "./format.ts";
import { DTYPE_BYTES } from "./read_index.ts";
import { TokenFolder } from "./token_folder.ts";

export interface ExportRequest {
  /** A folder of tokens. */
  readonly from: string;
  readonly out: string;
  readonly format: ForeignFormat;
  /** Beginning of the names of llm.c's files. */
  readonly name: string;
}

const ARRAYS = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array } as const;
const WINDOW_TOKENS = 2 ** 20;

/** nanoGPT reads the size of the vocabulary from meta.pkl: a pickled map with that one key. */
function metaPickle(vocabSize: number): Uint8Array {
  const bytes = new Uint8Array(64);
  const view = new DataView(bytes.buffer);
  const key = new TextEncoder().encode("vocab_size");
  let at = 0;
  const put = (...values: number[]): void => {
    for (const value of values) bytes[at++] = value;
  };
  put(0x80, 2, 0x7d); // protocol 2, empty map
  put(0x58, key.length, 0, 0, 0, ...key); // its key
  put(0x4a); // a 32-bit integer
  view.setInt32(at, vocabSize, true);
  at += 4;
  put(0x73, 0x2e); // into the map; the end
  return bytes.subarray(0, at);
}

/** Writes a file under another name until it is whole. */
function writeWhole(path: string, write: (put: (bytes: Uint8Array) => void) => void): void {
  const temporary = `${path}.tmp`;
  const file = openSync(temporary, "w");
  try {
    write((bytes) => writeAll(file, bytes));
    fsyncSync(file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}

function copyTokens(
  folder: TokenFolder,
  shard: Shard,
  width: 2 | 4,
  put: (bytes: Uint8Array) => void,
): void {
  const { dtype } = folder.index;
  const file = openSync(join(folder.path, shard.tokens.file), "r");
  try {
    const window = new Uint8Array(WINDOW_TOKENS * DTYPE_BYTES[dtype]);
    for (let n = readSync(file, window); n > 0; n = readSync(file, window)) {
      const ids = new ARRAYS[dtype](window.buffer, 0, n / DTYPE_BYTES[dtype]);
      const wide = width === 2 ? Uint16Array.from(ids) : Uint32Array.from(ids);
      put(new Uint8Array(wide.buffer));
    }
  } finally {
    closeSync(file);
  }
}

const SHORT = { train: "train", validation: "val" } as const;

/** Names of the files that it wrote. */
export function exportTokens(request: ExportRequest): string[] {
  const { from, out, format, name } = request;
  const folder = TokenFolder.open(from);
  const { kind, dtype, splits, tokenizer } = folder.index;
  if (kind !== "stream")
    throw new ConfigError(`${from} holds ${kind}: expected a stream; ${format} has no loss masks`);
  const width = dtype === "u32" ? 4 : 2;
  if (format === "nanogpt" && width === 4)
    throw new DataError(
      `nanoGPT's tokens have 2 bytes, those of ${tokenizer.name} (${tokenizer.vocab_size}) need 4`,
      { hint: "export them for llm.c" },
    );
  mkdirSync(out, { recursive: true });
  const written: string[] = [];
  const write = (file: string, body: (put: (bytes: Uint8Array) => void) => void): void => {
    if (existsSync(join(out, file)))
      throw new UserError(`${join(out, file)} exists already`, { code: "conflict" });
    writeWhole(join(out, file), body);
    written.push(file);
  };
  for (const split of Object.keys(SHORT) as SplitName[]) {
    const shards = splits[split];
    if (format === "nanogpt")
      write(`${SHORT[split]}.bin`, (put) => {
        for (const shard of shards) copyTokens(folder, shard, width, put);
      });
    else
      for (const [index, shard] of shards.entries())
        write(`${name}_${SHORT[split]}_${String(index).padStart(6, "0")}.bin`, (put) => {
          put(llmcHeader(width, shard.token_count));
          copyTokens(folder, shard, width, put);
        });
  }
  if (format === "nanogpt") write("meta.pkl", (put) => put(metaPickle(tokenizer.vocab_size)));
  syncFolder(out);
  return written;
}
