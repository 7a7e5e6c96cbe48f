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

/** Documents between blank lines, those of a block together. */
export async function* paragraphs(
  file: SourceFile,
  options: ReadOptions,
  from: number,
): AsyncGenerator<Batch> {
  const { maxRecordBytes } = options;
  let at = from;
  let held: Uint8Array = new Uint8Array(0);
  /** Bytes of a document of which only the length is kept. */
  let dropped = 0;
  const take = (length: number): Batch => {
    const batch = batchOf(at, held.subarray(0, length), options);
    at += length;
    held = held.subarray(length);
    return batch;
  };
  const tooLong = (length: number, next: number): Batch => {
    const start = at;
    const bad = longText("document", dropped + length, maxRecordBytes);
    [at, held, dropped] = [at + next, held.subarray(next), 0];
    return { items: [{ bad }], next: at, bytes: next, position: () => start };
  };
  for await (const part of byteStream(file, from)) {
    held = held.length === 0 ? part : Buffer.concat([held, part]);
    if (dropped > 0) {
      const gap = blankLine(held, 0);
      if (gap !== null) yield tooLong(gap.from, gap.to);
    }
    while (dropped === 0) {
      // Blank lines that come before a document are no part of its length.
      const end = lastBlankLine(held) || (held.length > maxRecordBytes ? endOfBlank(held) : 0);
      if (end === 0) break;
      yield take(end);
    }
    if (held.length > maxRecordBytes || dropped > 0) {
      const length = knownLength(held, maxRecordBytes);
      [at, held, dropped] = [at + length, held.subarray(length), dropped + length];
    }
  }
  if (dropped > 0) yield tooLong(held.length, held.length);
  else if (held.length > 0) yield take(held.length);
}

/** How much of a document's beginning can go without losing the blank line that may end it. */
function knownLength(held: Uint8Array, maxRecordBytes: number): number {
  const newline = held.lastIndexOf(NEWLINE);
  if (newline > 0) return newline;
  return newline === 0 && held.length <= maxRecordBytes && isBlank(held) ? 0 : held.length;
}

/** Where the last of the blank lines ends that `bytes` begins with, or holds. */
function endOfBlank(bytes: Uint8Array): number {
  let end = 0;
  for (let gap = blankLine(bytes, 0); gap !== null; gap = blankLine(bytes.subarray(end), 0))
    end += gap.to;
  return end;
}

/** Documents of a block that ends where one ends. */
function batchOf(offset: number, block: Uint8Array, options: ReadOptions): Batch {
  const skip = offset === 0 && startsWithBom(block) ? BOM_BYTES : 0;
  const bytes = block.subarray(skip);
  const item = (body: Uint8Array): Item | null => {
    if (body.length > options.maxRecordBytes)
      return { bad: longText("document", body.length, options.maxRecordBytes) };
    return isBlank(body) ? null : { value: { [options.textField]: body } };
  };
  const position = (start: number): number => offset + skip + start;
  let found: { readonly items: Item[]; readonly starts: number[] } | undefined;
  const documents = () => {
    const [items, starts]: [Item[], number[]] = [[], []];
    for (let start = 0; start < bytes.length; ) {
      const rest = bytes.subarray(start);
      const { from, to } = blankLine(rest, 0) ?? { from: rest.length, to: rest.length };
      const made = item(rest.subarray(0, from));
      if (made !== null) {
        items.push(made);
        starts.push(start);
      }
      start += to;
    }
    return { items, starts };
  };
  return {
    get items() {
      found ??= documents();
      return found.items;
    },
    raw: { form: "paragraphs", bytes, item, position },
    next: offset + block.length,
    bytes: block.length,
    position(index) {
      found ??= documents();
      return position(found.starts[index] ?? 0);
    },
  };
}

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

/**
 * Where the last blank line ends that follows a line with text; 0: there is none. Whatever stands before, a document ends there: of
 * blank lines one after another only some do.
 */
function lastBlankLine(bytes: Uint8Array): number {
  for (let end = bytes.lastIndexOf(NEWLINE); end > 0; ) {
    let before = end - 1;
    while (before >= 0 && bytes[before] !== NEWLINE && isSpace(bytes[before])) before--;
    if (before < 0) return 0;
    let text = before;
    if (bytes[before] === NEWLINE) {
      text--;
      while (text >= 0 && bytes[text] !== NEWLINE && isSpace(bytes[text])) text--;
      if (text >= 0 && bytes[text] !== NEWLINE) return end + 1;
    }
    end = bytes.lastIndexOf(NEWLINE, before);
  }
  return 0;
}
