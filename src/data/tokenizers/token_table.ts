/** @file The bytes of every token of a vocabulary, in one block: a quarter of a million small arrays would cost 50 MB. */
import { assert } from "../../util/errors.ts";

export class TokenTable {
  /** Bytes of token `id` are `bytes[starts[id] .. starts[id + 1]]`; none: the id is not taken. */
  readonly bytes: Uint8Array;
  readonly starts: Uint32Array;
  private ids: Map<string, number> | undefined;

  constructor(bytes: Uint8Array, starts: Uint32Array) {
    this.bytes = bytes;
    this.starts = starts;
  }

  static of(tokens: Iterable<readonly [id: number, bytes: Uint8Array]>, size: number): TokenTable {
    const ordered: (Uint8Array | undefined)[] = new Array(size).fill(undefined);
    let total = 0;
    for (const [id, bytes] of tokens) {
      assert(id < size, `token ${id} of a vocabulary of ${size}`);
      total += bytes.length - (ordered[id]?.length ?? 0);
      ordered[id] = bytes;
    }
    const block = new Uint8Array(total);
    const starts = new Uint32Array(size + 1);
    let at = 0;
    ordered.forEach((bytes, id) => {
      starts[id] = at;
      if (bytes === undefined) return;
      block.set(bytes, at);
      at += bytes.length;
    });
    starts[size] = at;
    return new TokenTable(block, starts);
  }

  get size(): number {
    return this.starts.length - 1;
  }

  lengthOf(id: number): number {
    return (this.starts[id + 1] ?? 0) - (this.starts[id] ?? 0);
  }

  bytesOf(id: number): Uint8Array {
    return this.bytes.subarray(this.starts[id] ?? 0, this.starts[id + 1] ?? 0);
  }

  /** The lowest id that stands for these bytes. */
  find(bytes: Uint8Array): number | undefined {
    this.ids ??= this.index();
    return this.ids.get(latin1(bytes));
  }

  private index(): Map<string, number> {
    const ids = new Map<string, number>();
    for (let id = this.size - 1; id >= 0; id--)
      if (this.lengthOf(id) > 0) ids.set(latin1(this.bytesOf(id)), id);
    return ids;
  }
}

/** Bytes as a string of as many characters, to be a key. */
const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
