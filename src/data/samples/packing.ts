/**
 * @file Which documents share a row: best fit, longest first. How many rows there are and how full they are depends only on the
 * lengths, so that an epoch may put any document of the same length in a place: packing is done once, and yet every epoch brings
 * other documents together.
 */
import { ConfigError } from "../../util/errors.ts";
import type { TokenStore } from "../store.ts";

export interface Packing {
  /** Document ids, longest documents first. */
  readonly documents: Uint32Array;
  /** Documents that take n places stand from classStarts[n] on, `classCounts[n]` of them. */
  readonly classStarts: Uint32Array;
  readonly classCounts: Uint32Array;
  /** Row r holds the items rowStarts[r] .. rowStarts[r + 1] - 1. */
  readonly rowStarts: Uint32Array;
  /** Indices into `documents`. */
  readonly items: Uint32Array;
  /** Documents in which nothing is predicted: of less than two tokens. */
  readonly empty: number;
}

/** Memory that threads share: the thread that reads ahead gets the packing without a copy. */
const shared = (count: number): Uint32Array => new Uint32Array(new SharedArrayBuffer(4 * count));

/** Rows by the room that is left in them, and the least room that suffices. */
class OpenRows {
  private readonly words: Uint32Array;
  private readonly newest: Int32Array;
  private readonly before: Int32Array;

  constructor(capacity: number, rowsMax: number) {
    this.words = new Uint32Array(Math.floor(capacity / 32) + 1);
    this.newest = new Int32Array(capacity + 1).fill(-1);
    this.before = new Int32Array(rowsMax);
  }

  add(row: number, room: number): void {
    this.before[row] = this.newest[room] ?? -1;
    this.newest[room] = row;
    this.words[room >>> 5] = (this.words[room >>> 5] ?? 0) | (1 << (room & 31));
  }

  /** The least room >= `need` of any row; -1: there is none. */
  leastRoom(need: number): number {
    let word = need >>> 5;
    let bits = ((this.words[word] ?? 0) & (0xffffffff << (need & 31))) >>> 0;
    while (bits === 0) {
      if (++word >= this.words.length) return -1;
      bits = this.words[word] ?? 0;
    }
    return word * 32 + (31 - Math.clz32(bits & -bits));
  }

  take(room: number): number {
    const row = this.newest[room] ?? -1;
    const next = this.before[row] ?? -1;
    this.newest[room] = next;
    if (next === -1) this.words[room >>> 5] = (this.words[room >>> 5] ?? 0) & ~(1 << (room & 31));
    return row;
  }
}

/** A document of n tokens takes n - 1 places: so many tokens are read in it to predict the next. */
function placesOf(store: TokenStore, length: number): { places: Uint32Array; longest: number } {
  const places = new Uint32Array(store.documentCount);
  let longest = 0;
  let start = store.documentStart(0);
  for (let document = 0; document < places.length; document++) {
    const end = store.documentStart(document + 1);
    places[document] = Math.max(0, end - start - 1);
    longest = Math.max(longest, end - start);
    start = end;
  }
  if (longest > length + 1) {
    const over = places.reduce((n, count) => n + (count > length ? 1 : 0), 0);
    throw new ConfigError(
      `architecture.block_size ${length} takes documents of at most ${length + 1} tokens; ` +
        `${over} of the ${places.length} in ${store.name} are longer, the longest has ${longest}`,
      {
        place: { key: "architecture.block_size" },
        hint: "a longer context, or tokenize again with a smaller limit: documents are not cut here",
      },
    );
  }
  return { places, longest };
}

/** Documents sorted by length (a counting sort: equal lengths keep their order). */
function sorted(places: Uint32Array, length: number) {
  const classCounts = shared(length + 1);
  for (const count of places) classCounts[count] = (classCounts[count] ?? 0) + 1;
  const empty = classCounts[0] ?? 0;
  const classStarts = shared(length + 1);
  let at = 0;
  for (let count = length; count > 0; count--) {
    classStarts[count] = at;
    at += classCounts[count] ?? 0;
  }
  const documents = shared(at);
  const next = Uint32Array.from(classStarts);
  places.forEach((count, document) => {
    if (count === 0) return;
    const place = next[count] ?? 0;
    documents[place] = document;
    next[count] = place + 1;
  });
  return { documents, classStarts, classCounts, empty };
}

/** Rows of `length` places. */
export function packDocuments(store: TokenStore, length: number): Packing {
  const { places } = placesOf(store, length);
  const { documents, ...classes } = sorted(places, length);
  const open = new OpenRows(length, documents.length);
  const rowOf = new Uint32Array(documents.length);
  const sizes = new Uint32Array(documents.length);
  let rows = 0;
  documents.forEach((document, item) => {
    const need = places[document] ?? 0;
    const room = open.leastRoom(need);
    const row = room === -1 ? rows++ : open.take(room);
    rowOf[item] = row;
    sizes[row] = (sizes[row] ?? 0) + 1;
    const left = (room === -1 ? length : room) - need;
    if (left > 0) open.add(row, left);
  });
  const rowStarts = shared(rows + 1);
  for (let row = 0; row < rows; row++)
    rowStarts[row + 1] = (rowStarts[row] ?? 0) + (sizes[row] ?? 0);
  const next = Uint32Array.from(rowStarts);
  const items = shared(documents.length);
  rowOf.forEach((row, item) => {
    const place = next[row] ?? 0;
    items[place] = item;
    next[row] = place + 1;
  });
  return { documents, rowStarts, items, ...classes };
}
