/**
 * @file Documents of .txt files. A whole file as one document is read in sections that are cut where no tokenizer of words joins
 * what lies on either side: between two lines that neither end nor begin with a space.
 */
import { byteStream } from "./byte_stream.ts";
import type { Batch, Item, ReadOptions, SourceFile } from "./source_file.ts";

const SECTION_BYTES = 4 * 2 ** 20;
const NEWLINE = 10;

export const BOM_BYTES = 3;
export const startsWithBom = (bytes: Uint8Array): boolean =>
  bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;

const isSpace = (byte: number | undefined): boolean =>
  byte === undefined || byte === 32 || (byte >= 9 && byte <= 13);

/** Where to cut at most `limit` bytes from the front; the same whenever the same bytes are there. */
export function sectionEnd(bytes: Uint8Array, limit: number): number {
  if (bytes.length <= limit) return bytes.length;
  const clean = (at: number): boolean =>
    !isSpace(bytes[at - 1]) && !isSpace(bytes[at + 1]) && (bytes[at + 1] ?? 0) < 0x80;
  const lowest = limit >> 1;
  for (let at = bytes.lastIndexOf(NEWLINE, limit - 1); at > lowest; ) {
    if (clean(at)) return at + 1;
    at = bytes.lastIndexOf(NEWLINE, at - 1);
  }
  const line = bytes.lastIndexOf(NEWLINE, limit - 1);
  if (line > lowest) return line + 1;
  for (let at = limit; at > lowest; at--)
    if (bytes[at] === 32 && !isSpace(bytes[at - 1])) return at;
  // No space for megabytes: at least between two characters.
  let at = limit;
  while (at > lowest && ((bytes[at] ?? 0) & 0xc0) === 0x80) at--;
  return at;
}

const empty = "an empty document: expected text";

const isBlank = (bytes: Uint8Array): boolean => bytes.every((byte) => isSpace(byte));

/** One document: the whole file. */
export async function* wholeText(
  file: SourceFile,
  { textField }: ReadOptions,
  from: number,
): AsyncGenerator<Batch> {
  let at = from;
  let held: Uint8Array = new Uint8Array(0);
  let seen = from > 0;
  const batch = (bytes: Uint8Array, unfinished: boolean): Batch => {
    const start = at;
    at += bytes.length;
    const text = start === 0 && startsWithBom(bytes) ? bytes.subarray(BOM_BYTES) : bytes;
    const whole = start === 0 && !unfinished;
    const item: Item =
      whole && isBlank(text)
        ? { bad: empty }
        : { value: { [textField]: text }, unfinished, continued: start > 0 };
    return { items: [item], next: at, bytes: bytes.length, position: () => start };
  };
  for await (const part of byteStream(file, from)) {
    held = held.length === 0 ? part : Buffer.concat([held, part]);
    // One byte more than a section, so that the last section is known to be the last.
    while (held.length > SECTION_BYTES + 1) {
      const end = sectionEnd(held, SECTION_BYTES);
      seen = true;
      yield batch(held.subarray(0, end), true);
      held = held.subarray(end);
    }
  }
  if (held.length > 0 || !seen) yield batch(held, false);
}

/** Documents between blank lines. */
export async function* paragraphs(
  file: SourceFile,
  { textField, maxRecordBytes }: ReadOptions,
  from: number,
): AsyncGenerator<Batch> {
  let at = from;
  let held: Uint8Array = new Uint8Array(0);
  let tooLong = 0;
  const take = (end: number, body: Uint8Array): Batch => {
    const start = at;
    at += end;
    held = held.subarray(end);
    const length = tooLong + body.length;
    const items: Item[] = [];
    if (length > maxRecordBytes) items.push({ bad: longText("document", length, maxRecordBytes) });
    else if (!isBlank(body)) items.push({ value: { [textField]: withoutBom(start, body) } });
    tooLong = 0;
    return { items, next: at, bytes: end, position: () => start };
  };
  let searched = 0;
  for await (const part of byteStream(file, from)) {
    held = held.length === 0 ? part : Buffer.concat([held, part]);
    for (;;) {
      const gap = blankLine(held, searched);
      if (gap === null) break;
      searched = 0;
      yield take(gap.to, held.subarray(0, gap.from));
    }
    searched = Math.max(0, held.lastIndexOf(NEWLINE));
    if (held.length > maxRecordBytes) {
      const dropped = held.lastIndexOf(NEWLINE) > 0 ? held.lastIndexOf(NEWLINE) : held.length;
      tooLong += dropped;
      at += dropped;
      held = held.subarray(dropped);
      searched = 0;
    }
  }
  if (held.length > 0 || tooLong > 0) yield take(held.length, held);
}

const withoutBom = (start: number, bytes: Uint8Array): Uint8Array =>
  start === 0 && startsWithBom(bytes) ? bytes.subarray(BOM_BYTES) : bytes;

export const longText = (what: string, length: number, limit: number): string =>
  `a ${what} of ${(length / 2 ** 20).toFixed(1)} MiB: expected at most ${limit / 2 ** 20} (source.max_record_mb)`;

/** The first blank line that ends within `bytes`: where the text before it ends, and where the line itself does. */
function blankLine(bytes: Uint8Array, from: number): { from: number; to: number } | null {
  for (let at = bytes.indexOf(NEWLINE, from); at !== -1; ) {
    let end = at + 1;
    while (end < bytes.length && bytes[end] !== NEWLINE && isSpace(bytes[end])) end++;
    if (end >= bytes.length) return null;
    if (bytes[end] === NEWLINE) return { from: at + 1, to: end + 1 };
    at = bytes.indexOf(NEWLINE, end);
  }
  return null;
}
