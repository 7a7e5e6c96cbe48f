/** @file Records of line formats: one JSON object a line, or one text a line. */
import { parseExactJson } from "../chat/exact_json.ts";
import type { Block, LineBlocks } from "./line_blocks.ts";
import { BOM_BYTES, longText, startsWithBom } from "./read_text.ts";
import type { Batch, Item, RawRecords, ReadOptions, SourceFile } from "./source_file.ts";

const NEWLINE = 10;
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Where the lines of a block begin that are not blank. */
function lineStarts(bytes: Uint8Array): number[] {
  const starts: number[] = [];
  for (let from = 0; from < bytes.length; ) {
    const at = bytes.indexOf(NEWLINE, from);
    const to = at === -1 ? bytes.length : at;
    let first = from;
    while (first < to && (bytes[first] === 32 || bytes[first] === 13 || bytes[first] === 9))
      first++;
    if (first < to) starts.push(from);
    from = to + 1;
  }
  return starts;
}

function kindOf(value: unknown): string {
  return value === null ? "null" : Array.isArray(value) ? "an array" : `a ${typeof value}`;
}

type Parse = (text: string) => unknown;

const parserOf = ({ exact }: ReadOptions): Parse => (exact === true ? parseExactJson : JSON.parse);

function parsed(line: string, parse: Parse): Item | null {
  if (/^[ \t\r]*$/.test(line)) return null;
  let value: unknown;
  try {
    value = parse(line);
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/^JSON Parse error: /, "") : "";
    const hint = /^\s*\[/.test(line)
      ? " (the file holds one JSON array, not one object a line: its name should end in .json)"
      : "";
    return { bad: `expected a JSON object on the line: ${why}${hint}` };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return { bad: `expected a JSON object on the line, got ${kindOf(value)}` };
  // An object with keys that are numbers.
  const fields = value instanceof Map ? Object.fromEntries(value) : value;
  return { value: fields as Record<string, unknown> };
}

function eachLine(text: string, use: (line: string) => Item | null, items: Item[]): void {
  for (let from = 0; from < text.length; ) {
    const at = text.indexOf("\n", from);
    const to = at === -1 ? text.length : at;
    const item = use(text.slice(from, to));
    if (item !== null) items.push(item);
    from = to + 1;
  }
}

function jsonItem(line: Uint8Array, parse: Parse): Item | null {
  let text: string;
  try {
    text = strict.decode(line);
  } catch {
    return { bad: "expected UTF-8 on the line" };
  }
  return parsed(text, parse);
}

/** Of an array: what is wrong with it is told of the record, not of a line. */
export function jsonRecord(bytes: Uint8Array, options: ReadOptions): Item {
  const item = jsonItem(bytes, parserOf(options));
  if (item === null) return { bad: "expected a JSON object" };
  return "bad" in item ? { bad: item.bad.replace(" on the line", "") } : item;
}

/** Decoding a whole block at once is several times faster than line by line. */
function jsonItems(bytes: Uint8Array, parse: Parse): Item[] {
  const items: Item[] = [];
  let text: string;
  try {
    text = strict.decode(bytes);
  } catch {
    for (const start of lineStarts(bytes)) {
      const at = bytes.indexOf(NEWLINE, start);
      const item = jsonItem(bytes.subarray(start, at === -1 ? bytes.length : at), parse);
      if (item !== null) items.push(item);
    }
    return items;
  }
  eachLine(text, (line) => parsed(line, parse), items);
  return items;
}

function textItems(bytes: Uint8Array, textField: string): Item[] {
  return lineStarts(bytes).map((start) => {
    const at = bytes.indexOf(NEWLINE, start);
    return textItem(bytes.subarray(start, at === -1 ? bytes.length : at), textField);
  });
}

function textItem(line: Uint8Array, textField: string): Item {
  const end = line.at(-1) === 13 ? line.length - 1 : line.length;
  return { value: { [textField]: line.subarray(0, end) } };
}

function batchOf(block: Block, file: SourceFile, options: ReadOptions): Batch {
  const { offset } = block;
  if (block.kind === "too long") {
    const bad = longText("line", block.length, options.maxRecordBytes);
    const next = offset + block.length;
    return { items: [{ bad }], next, bytes: block.length, position: () => offset };
  }
  const skip = offset === 0 && startsWithBom(block.bytes) ? BOM_BYTES : 0;
  const bytes = block.bytes.subarray(skip);
  const isJson = file.content === "jsonl";
  const parse = parserOf(options);
  let items: Item[] | undefined;
  const raw: RawRecords = {
    form: isJson ? "json" : "lines",
    bytes,
    item: isJson ? (line) => jsonItem(line, parse) : (line) => textItem(line, options.textField),
    position: (start) => offset + skip + start,
  };
  // Only bad lines are asked for.
  let starts: number[] | undefined;
  return {
    get items() {
      items ??= isJson ? jsonItems(bytes, parse) : textItems(bytes, options.textField);
      return items;
    },
    raw,
    next: offset + block.bytes.length,
    bytes: block.bytes.length,
    position(index) {
      starts ??= lineStarts(bytes);
      return offset + skip + (starts[index] ?? 0);
    },
  };
}

/** Lines from the reader's place to the end of the range. */
export async function* lineBatches(
  reader: LineBlocks,
  file: SourceFile,
  options: ReadOptions,
  end: number,
): AsyncGenerator<Batch> {
  for (let block = await reader.next(end); block !== null; block = await reader.next(end))
    yield batchOf(block, file, options);
}
