/** @file Preference pairs of a folder: a chosen and a rejected answer, each with the prompt before it. */
import { assert } from "../../util/errors.ts";
import type { TokenStore } from "../store.ts";

export interface Answer {
  readonly tokens: Int32Array;
  /** 1: trained on; the prompt is 0. */
  readonly mask: Uint8Array;
}

export interface Pair {
  readonly chosen: Answer;
  readonly rejected: Answer;
}

export class Pairs {
  readonly count: number;
  private readonly store: TokenStore;

  constructor(store: TokenStore) {
    this.store = store;
    this.count = store.documentCount / 2;
  }

  pair(index: number): Pair {
    assert(index >= 0 && index < this.count, `pair ${index} of ${this.count}`);
    return { chosen: this.answer(2 * index), rejected: this.answer(2 * index + 1) };
  }

  private answer(document: number): Answer {
    const start = this.store.documentStart(document);
    const length = this.store.documentStart(document + 1) - start;
    const answer = { tokens: new Int32Array(length), mask: new Uint8Array(length) };
    this.store.read(start, answer.tokens);
    this.store.readMask(start, answer.mask);
    return answer;
  }
}
