/** @file Tokens of one split end to end, wherever they lie: in memory or in the shards of a folder. */
import type { Tokens } from "./tokenizer.ts";

export interface TokenStore {
  /** As messages name it. */
  readonly name: string;
  readonly length: number;
  readonly documentCount: number;
  /** Whether some tokens are not trained on. */
  readonly masked: boolean;
  /** Copies the tokens from `start` on, as many as `target` holds. */
  read(start: number, target: Int32Array): void;
  /** Writes 1 for every token from `start` on that is trained on, 0 for the others. */
  readMask(start: number, target: Uint8Array): void;
  /** Where a document starts; of `documentCount`: where the last one ends. */
  documentStart(index: number): number;
}

/** One text as one document. */
export class MemoryStore implements TokenStore {
  readonly name: string;
  readonly length: number;
  readonly documentCount = 1;
  readonly masked = false;
  readonly tokens: Tokens;

  constructor(name: string, tokens: Tokens) {
    this.name = name;
    this.tokens = tokens;
    this.length = tokens.length;
  }

  read(start: number, target: Int32Array): void {
    target.set(this.tokens.subarray(start, start + target.length));
  }

  readMask(_start: number, target: Uint8Array): void {
    target.fill(1);
  }

  documentStart(index: number): number {
    return index === 0 ? 0 : this.length;
  }
}

/** The document that the token belongs to: the last one that starts at or before it. */
export function documentAt(store: TokenStore, token: number): number {
  let [low, high] = [0, store.documentCount - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (store.documentStart(middle) <= token) low = middle;
    else high = middle - 1;
  }
  return low;
}
