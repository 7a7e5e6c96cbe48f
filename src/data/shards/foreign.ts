/**
 * @file Token files of other programs: llm.c's (a header of 256 i32, then u16 or u32 tokens) and nanoGPT's (u16 tokens and nothing
 * else). Neither says which tokenizer made it.
 */
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { DataError } from "../../util/errors.ts";
import type { Tokens } from "../tokenizer.ts";

export const FOREIGN_FORMATS = ["llmc", "nanogpt"] as const;
export type ForeignFormat = (typeof FOREIGN_FORMATS)[number];

export const HEADER_BYTES = 1024;
/** llm.c's kinds by the bytes of a token. */
const LLMC = {
  2: { magic: 20240520, version: 1 },
  4: { magic: 20240801, version: 7 },
} as const;
const MOST_TOKENS = 2 ** 31 - 1;

export interface ForeignFile {
  readonly path: string;
  readonly format: ForeignFormat;
  /** Where the tokens begin, and how wide each is. */
  readonly offset: number;
  readonly width: 2 | 4;
  readonly tokens: number;
}

export function llmcHeader(width: 2 | 4, tokens: number): Uint8Array {
  if (tokens > MOST_TOKENS)
    throw new DataError(`a file of llm.c holds at most ${MOST_TOKENS} tokens, got ${tokens}`, {
      hint: "tokenize again with a smaller tokens.shard_mb",
    });
  const header = new Int32Array(HEADER_BYTES / 4);
  const { magic, version } = LLMC[width];
  header.set([magic, version, tokens]);
  return new Uint8Array(header.buffer);
}

function start(path: string, bytes: number): Int32Array {
  const header = new Int32Array(HEADER_BYTES / 4);
  const file = openSync(path, "r");
  try {
    readSync(file, new Uint8Array(header.buffer), 0, Math.min(HEADER_BYTES, bytes), 0);
  } finally {
    closeSync(file);
  }
  return header;
}

/** Tells the two apart by llm.c's magic numbers, and checks the size. */
export function foreignFile(path: string): ForeignFile {
  const fail = (why: string): never => {
    throw new DataError(why, { place: { path } });
  };
  const bytes = statSync(path).size;
  const [magic, version, tokens = 0] = start(path, bytes);
  const found = ([2, 4] as const).find((width) => LLMC[width].magic === magic);
  if (found !== undefined) {
    const expected = LLMC[found].version;
    if (version !== expected) fail(`llm.c version ${version}, expected ${expected}`);
    const wanted = HEADER_BYTES + tokens * found;
    if (tokens < 0 || bytes !== wanted)
      fail(`its header says ${tokens} tokens (${wanted} bytes), the file has ${bytes} bytes`);
    return { path, format: "llmc", offset: HEADER_BYTES, width: found, tokens };
  }
  if (bytes === 0 || bytes % 2 !== 0)
    fail(
      `${bytes} bytes are neither llm.c's header with tokens nor nanoGPT's tokens of 2 bytes each`,
    );
  return { path, format: "nanogpt", offset: 0, width: 2, tokens: bytes / 2 };
}

const WINDOW_TOKENS = 2 ** 20;

/** The tokens, many at a time. */
export function* foreignTokens({ path, offset, width, tokens }: ForeignFile): Generator<Tokens> {
  const file = openSync(path, "r");
  try {
    for (let at = 0; at < tokens; ) {
      const count = Math.min(WINDOW_TOKENS, tokens - at);
      const window = width === 2 ? new Uint16Array(count) : new Uint32Array(count);
      const bytes = new Uint8Array(window.buffer);
      for (let done = 0; done < bytes.length; ) {
        const n = readSync(file, bytes, done, bytes.length - done, offset + at * width + done);
        if (n === 0) throw new DataError(`${path} ends early`, { place: { path } });
        done += n;
      }
      at += count;
      yield window;
    }
  } finally {
    closeSync(file);
  }
}
