/**
 * @file A pseudo-random permutation of 0 .. count-1 that is computed per index: a Feistel network over the next even power
 * of two, walked until it lands inside. Nothing is stored, so the order is a pure function of (key, index).
 */
import { philox4x32 } from "../util/prng.ts";

const ROUNDS = 4;

export class Permutation {
  private readonly count: number;
  private readonly halfBits: number;
  private readonly mask: number;
  private readonly keys = new Uint32Array(ROUNDS);

  /** `key`: two words that name the permutation, the seed and the epoch for instance. */
  constructor(count: number, key: readonly [number, number]) {
    this.count = count;
    this.halfBits = Math.max(1, Math.ceil(Math.log2(Math.max(count, 2)) / 2));
    this.mask = 2 ** this.halfBits - 1;
    philox4x32([0, 0, 0, 0], key, this.keys);
  }

  at(index: number): number {
    let x = index;
    do x = this.once(x);
    while (x >= this.count);
    return x;
  }

  private once(x: number): number {
    const { halfBits, mask, keys } = this;
    let left = Math.floor(x / 2 ** halfBits);
    let right = x & mask;
    for (let round = 0; round < ROUNDS; round++) {
      let h = Math.imul(right ^ (keys[round] ?? 0), 0x85ebca6b);
      h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
      h ^= h >>> 16;
      [left, right] = [right, (left ^ h) & mask];
    }
    return left * 2 ** halfBits + right;
  }
}
