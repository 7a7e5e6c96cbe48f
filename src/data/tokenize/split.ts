/** @file Which documents are held out: a function of the document and the seed alone, so that no order, shard or worker changes it. */
import type { SplitName } from "../shards/format.ts";

const RANGE = 2 ** 64;

export class Splitter {
  readonly seed: bigint;
  /** Of 2 ** 64; documents whose hash is less are held out. */
  readonly below: bigint;

  constructor(seed: number, validationFraction: number) {
    this.seed = BigInt(seed);
    this.below = BigInt(Math.floor(validationFraction * RANGE));
  }

  /** Equal identities fall on the same side: a repeated document never stands on both. */
  of(identity: () => string | Uint8Array): SplitName {
    if (this.below === 0n) return "train";
    return Bun.hash.xxHash3(identity(), this.seed) < this.below ? "validation" : "train";
  }
}
