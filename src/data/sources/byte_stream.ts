/** @file The bytes of a file, decompressed, in parts. A file that ends early or is damaged is told with its name. */
import { closeSync, openSync, readSync } from "node:fs";
import { DataError } from "../../util/errors.ts";
import type { SourceFile } from "./source_file.ts";

const WINDOW_BYTES = 2 ** 20;
/** The collector does not count what a stream hands out: hundreds of megabytes would wait for it. */
const COLLECT_BYTES = 32 * 2 ** 20;

async function* plainBytes(path: string, start: number): AsyncGenerator<Uint8Array> {
  const file = openSync(path, "r");
  try {
    for (let at = start; ; ) {
      const window = new Uint8Array(WINDOW_BYTES);
      const n = readSync(file, window, 0, WINDOW_BYTES, at);
      if (n === 0) return;
      at += n;
      yield window.subarray(0, n);
    }
  } finally {
    closeSync(file);
  }
}

async function* decompressed(file: SourceFile): AsyncGenerator<Uint8Array> {
  const { path, compression } = file;
  let [bytes, collected] = [0, 0];
  try {
    // The types of DecompressionStream do not know "zstd", which Bun has.
    const inflate = new DecompressionStream(compression as "gzip");
    const output = Bun.file(path)
      .stream()
      .pipeThrough(inflate as TransformStream);
    for await (const part of output as unknown as AsyncIterable<Uint8Array>) {
      bytes += part.length;
      collected += part.length;
      if (collected >= COLLECT_BYTES) {
        Bun.gc(true);
        collected = 0;
      }
      yield part;
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const what = /unexpected end/.test(why) ? "ends early: it was cut off" : `is damaged: ${why}`;
    throw new DataError(`the ${compression} data ${what}, after ${bytes} bytes of text`, {
      hint: "fetch or make the file again",
      place: { path },
    });
  }
}

/** From decompressed byte `start` on; what lies before is read and dropped where the file is compressed. */
export async function* byteStream(file: SourceFile, start = 0): AsyncGenerator<Uint8Array> {
  if (file.compression === "none") {
    yield* plainBytes(file.path, start);
    return;
  }
  if (file.bytes === 0) return;
  let at = 0;
  for await (const part of decompressed(file)) {
    const end = at + part.length;
    if (end > start) yield at >= start ? part : part.subarray(start - at);
    at = end;
  }
}
