/**
 * @file What unpacking a .jsonl.zst costs in CPU time, in the ways that there are, beside reading it unpacked. Usage: bun bench/unpack.ts
 * [--mb 60]. Prints ms a MB of text, the best of five rounds in turn.
 */
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createZstdDecompress, zstdCompressSync } from "node:zlib";
import { builtinText } from "../src/data/builtin_text.ts";
import { byteStream } from "../src/data/sources/byte_stream.ts";
import { sourceFile } from "../src/data/sources/expand.ts";

const { values } = parseArgs({ options: { mb: { type: "string", default: "60" } } });
const ROUNDS = 5;
const DOCUMENT_CHARS = 3000;

function body(megabytes: number): Buffer {
  const text = builtinText("sotu")?.train ?? "";
  const lines: string[] = [];
  for (let size = 0, at = 0; size < megabytes * 1e6; at += 977) {
    const start = at % (text.length - DOCUMENT_CHARS);
    const part = text.slice(start, start + DOCUMENT_CHARS);
    lines.push(`${JSON.stringify({ text: `${lines.length} ${part}` })}\n`);
    size += DOCUMENT_CHARS;
  }
  return Buffer.from(lines.join(""));
}

async function lengthOf(parts: AsyncIterable<Uint8Array>): Promise<number> {
  let length = 0;
  for await (const part of parts) length += part.length;
  return length;
}

const folder = mkdtempSync(join(tmpdir(), "theseus-unpack-"));
try {
  const plain = body(Number(values.mb));
  const packed = zstdCompressSync(plain);
  const [path, packedPath] = [join(folder, "a.jsonl"), join(folder, "a.jsonl.zst")];
  writeFileSync(path, plain);
  writeFileSync(packedPath, packed);
  const inParts = { highWaterMark: 2 ** 18 };
  const ways: Readonly<Record<string, () => number | Promise<number>>> = {
    "unpacked, as jobs read it": () => lengthOf(byteStream(sourceFile(path, "a.jsonl"))),
    "DecompressionStream, as jobs read it": () =>
      lengthOf(byteStream(sourceFile(packedPath, "a.jsonl.zst"))),
    "node:zlib, parts of 1 MiB": () =>
      lengthOf(
        createReadStream(packedPath, inParts).pipe(createZstdDecompress({ chunkSize: 2 ** 20 })),
      ),
    "libzstd in one call": () => Bun.zstdDecompressSync(packed).length,
  };
  const best = new Map<string, number>();
  for (let round = 0; round < ROUNDS; round++)
    for (const [name, way] of Object.entries(ways)) {
      const before = process.cpuUsage();
      if ((await way()) !== plain.length) throw new Error(`${name}: other bytes`);
      const { user, system } = process.cpuUsage(before);
      best.set(name, Math.min(best.get(name) ?? Infinity, (user + system) / 1e3));
    }
  for (const [name, ms] of best)
    console.log(`${name.padEnd(38)} ${((ms * 1e6) / plain.length).toFixed(2)} ms/MB`);
} finally {
  rmSync(folder, { recursive: true });
}
