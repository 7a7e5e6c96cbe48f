/** @file A vocabulary with its added tokens: bytes by id, and where each id comes from. */
import { assert } from "../../util/errors.ts";
import { bytesOfChars } from "./byte_alphabet.ts";
import { textAsBytes } from "./text_bytes.ts";
import { TokenTable } from "./token_table.ts";
import type { AddedToken, BpeModel } from "./tokenizer_json.ts";

/** Of an id, as the native encoder takes them: not taken, of the model, only an added token. */
export const KIND = { none: 0, model: 1, added: 2 } as const;

export interface Vocabulary {
  readonly table: TokenTable;
  readonly kinds: Uint8Array;
  /** An added token with the id of a token of other bytes, if there is one. */
  readonly conflict: AddedToken | undefined;
}

export function sizeOf(ids: Iterable<number>, added: readonly AddedToken[]): number {
  let largest = -1;
  for (const id of ids) largest = Math.max(largest, id);
  for (const { id } of added) largest = Math.max(largest, id);
  return largest + 1;
}

function vocabularyOf(
  model: readonly (readonly [id: number, bytes: Uint8Array])[],
  added: readonly AddedToken[],
): Vocabulary {
  const size = sizeOf(
    model.map(([id]) => id),
    added,
  );
  const tokens: (readonly [number, Uint8Array])[] = [...model];
  const kinds = new Uint8Array(size);
  const bytesOf = new Map<number, Uint8Array>();
  const ids = new Set(added.map(({ id }) => id));
  for (const [id, bytes] of model) {
    kinds[id] = KIND.model;
    if (ids.has(id)) bytesOf.set(id, bytes);
  }
  let conflict: AddedToken | undefined;
  for (const token of added) {
    const bytes = textAsBytes(token.content);
    const before = bytesOf.get(token.id);
    if (before !== undefined && Buffer.compare(before, bytes) !== 0) conflict = token;
    if (before === undefined) kinds[token.id] = KIND.added;
    tokens.push([token.id, bytes]);
  }
  return { table: TokenTable.of(tokens, size), kinds, conflict };
}

export const ofModel = (model: BpeModel, added: readonly AddedToken[]): Vocabulary =>
  vocabularyOf(
    Object.entries(model.vocab).map(([text, id]) => [id, bytesOfChars(text) ?? textAsBytes(text)]),
    added,
  );

/** Of ranks and added tokens whose ids lie above them. */
export function ofRanks(ranks: TokenTable, added: readonly AddedToken[]): Vocabulary {
  const size = Math.max(ranks.size, sizeOf([], added));
  const contents = added
    .map(({ id, content }) => [id, textAsBytes(content)] as const)
    .toSorted(([a], [b]) => a - b);
  const starts = new Uint32Array(size + 1).fill(ranks.bytes.length);
  starts.set(ranks.starts);
  const kinds = new Uint8Array(size).fill(KIND.model, 0, ranks.size);
  for (const [id, { length }] of contents) {
    assert(id >= ranks.size, `added token ${id} among ${ranks.size} ranks`);
    kinds[id] = KIND.added;
    starts.fill((starts[id] ?? 0) + length, id + 1);
  }
  const bytes = Buffer.concat([ranks.bytes, ...contents.map(([, content]) => content)]);
  return { table: new TokenTable(new Uint8Array(bytes), starts), kinds, conflict: undefined };
}
