/**
 * @file The ids of a rendered conversation and which of them lie in its trained spans. The ids are those of the whole text:
 * it is never cut where a span begins, because the tokens there would be others than at sampling time.
 */
import { assert } from "../../util/errors.ts";
import type { Tokenizer, Tokens } from "../tokenizer.ts";
import type { Stretch } from "./special_texts.ts";
import type { Span } from "./turn_spans.ts";

/** How many UTF-8 bytes of the text each token stands for, its own text's for special tokens. */
class TokenLengths {
  private readonly known: Int32Array;
  constructor(private readonly tokenizer: Tokenizer) {
    this.known = new Int32Array(tokenizer.vocabSize).fill(-1);
  }

  of(id: number): number {
    let length = this.known[id] ?? 0;
    if (length < 0) {
      const ids = Uint32Array.of(id);
      const bytes = this.tokenizer.byteCount(ids);
      length = bytes > 0 ? bytes : Buffer.byteLength(this.tokenizer.decode(ids));
      this.known[id] = length;
    }
    return length;
  }
}

interface Exactness {
  readonly lengths: TokenLengths;
  /** Whether the bytes of the tokens, one after the other, are those of this text. */
  readonly holds: (text: string) => boolean;
}

const never: Exactness["holds"] = () => false;
const found = new WeakMap<Tokenizer, Exactness>();

/** Bytes and byte-level vocabularies keep every byte, unless a normalizer changes the text first. */
function exactnessOf(tokenizer: Tokenizer): Exactness {
  let exact = found.get(tokenizer);
  if (exact === undefined) {
    const { definition: json } = tokenizer;
    let holds: Exactness["holds"] = never;
    if (json === undefined || (json.decoder?.type === "ByteLevel" && json.normalizer === null))
      holds = () => true;
    else if (json.decoder?.type === "ByteLevel" && json.normalizer?.type === "NFC")
      holds = (given) => given.normalize("NFC") === given;
    exact = { lengths: new TokenLengths(tokenizer), holds };
    found.set(tokenizer, exact);
  }
  return exact;
}

/** How a beginning of the text is encoded, for tokenizers whose tokens do not tell where they stand. */
export type EncodePrefix = (end: number) => ArrayLike<number>;

/** 1 for ids that overlap a span: a token that begins in the prompt and ends in the turn is learned. */
export function maskOf(
  text: string,
  ids: Tokens,
  spans: readonly Span[],
  tokenizer: Tokenizer,
  prefix: EncodePrefix,
): Uint8Array {
  const mask = new Uint8Array(ids.length);
  if (spans.length === 0) return mask;
  const exact = exactnessOf(tokenizer);
  if (exact.holds(text) && maskByBytes(text, ids, spans, mask, exact.lengths)) return mask;
  mask.fill(0);
  for (const { start, end } of spans) {
    const from = boundary(ids, prefix(start), tokenizer, false);
    const to = end === text.length ? ids.length : boundary(ids, prefix(end), tokenizer, true);
    mask.fill(1, from, to);
  }
  return mask;
}

function byteSpans(text: string, spans: readonly Span[]): Span[] {
  let [at, bytes] = [0, 0];
  const to = (end: number): number => {
    bytes += Buffer.byteLength(text.slice(at, end));
    at = end;
    return bytes;
  };
  return spans.map(({ start, end }) => ({ start: to(start), end: to(end) }));
}

function maskByBytes(
  text: string,
  ids: Tokens,
  spans: readonly Span[],
  mask: Uint8Array,
  lengths: TokenLengths,
): boolean {
  const inBytes = byteSpans(text, spans);
  let [at, next] = [0, 0];
  for (let i = 0; i < ids.length; i += 1) {
    const end = at + lengths.of(ids[i] ?? 0);
    while (next < inBytes.length && (inBytes[next]?.end ?? 0) <= at) next += 1;
    const span = inBytes[next];
    if (span !== undefined && end > span.start) mask[i] = 1;
    at = end;
  }
  return at === Buffer.byteLength(text);
}

/**
 * How many ids stand before a place in the text, given the ids of the text before it alone. Where these are no beginning of
 * all ids, a token reaches over the place; it counts as before it if `over`.
 */
function boundary(
  ids: Tokens,
  prefix: ArrayLike<number>,
  tokenizer: Tokenizer,
  over: boolean,
): number {
  let count = 0;
  while (count < prefix.length && prefix[count] === ids[count]) count += 1;
  if (count === prefix.length) return count;
  const left = tokenizer.decode(Array.from(prefix).slice(count)).length;
  let next = count;
  const reached = (): number => tokenizer.decode(ids.slice(count, next + 1)).length;
  while (next < ids.length && (over ? reached() < left : reached() <= left)) next += 1;
  return over ? next + 1 : next;
}

/** Ids of a text in which only the stretches in `own` are special tokens. */
export function idsWithOwn(
  text: string,
  own: readonly (Stretch & { readonly text: string })[],
  tokenizer: Tokenizer,
): number[] {
  const ids: number[] = [];
  let at = 0;
  for (const { start, end, text: token } of own) {
    for (const id of tokenizer.encode(text.slice(at, start))) ids.push(id);
    const id = tokenizer.idOf(token);
    assert(id !== undefined, `the special token ${token} has no id`);
    ids.push(id);
    at = end;
  }
  for (const id of tokenizer.encode(text.slice(at))) ids.push(id);
  return ids;
}
