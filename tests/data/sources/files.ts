/** @file Source files for tests: written into a folder of their own, and all that a reader gives. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { sourceFile } from "../../../src/data/sources/expand.ts";
import { PieceReader } from "../../../src/data/sources/read_piece.ts";
import type { Piece, ReadOptions, SourceFile } from "../../../src/data/sources/source_file.ts";

export const OPTIONS: ReadOptions = {
  textField: "text",
  txtDocuments: "file",
  maxRecordBytes: 2 ** 20,
  columns: null,
};

export class Folder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "theseus-sources-"));

  /** Compresses by the name's end. */
  file(name: string, content: string | Uint8Array): SourceFile {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    const packed = name.endsWith(".gz")
      ? gzipSync(bytes)
      : name.endsWith(".zst")
        ? zstdCompressSync(bytes)
        : bytes;
    return this.raw(name, packed);
  }

  raw(name: string, content: Uint8Array): SourceFile {
    const path = join(this.path, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    return sourceFile(path, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

const utf8 = new TextDecoder();

/** Bytes as text, so that they can be compared. */
export const readable = (value: unknown): unknown =>
  value instanceof Uint8Array
    ? utf8.decode(value)
    : Array.isArray(value)
      ? value.map(readable)
      : typeof value === "object" && value !== null
        ? Object.fromEntries(Object.entries(value).map(([key, each]) => [key, readable(each)]))
        : value;

export interface Seen {
  readonly value?: unknown;
  readonly bad?: string;
  readonly line: number | undefined;
  readonly next: number;
}

/** Every item of a piece with its line. */
export async function readAll(
  file: SourceFile,
  options: Partial<ReadOptions> = {},
  piece: Piece = { file: 0, kind: "whole" },
  from: number | null = null,
  places = true,
): Promise<Seen[]> {
  const reader = new PieceReader([file], { ...OPTIONS, ...options });
  const seen: Seen[] = [];
  try {
    for await (const batch of reader.batches(piece, from))
      for (const [index, item] of batch.items.entries()) {
        const at = batch.position(index);
        const { line } = places ? await reader.placeOf(piece, at) : { line: at };
        const { next } = batch;
        if ("bad" in item) seen.push({ bad: item.bad, line, next });
        else seen.push({ value: readable(item.value), line, next });
      }
  } finally {
    await reader.close();
  }
  return seen;
}

export const textsOf = (seen: readonly Seen[]): unknown[] =>
  seen.map(({ value }) => (value as { text: unknown } | undefined)?.text);
