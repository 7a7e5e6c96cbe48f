/** @file The native byte-pair encoder: a vocabulary handed over once (zig/tokenizer/spec.zig reads it), then text to tokens. */
import { assert } from "../util/errors.ts";
import { openLibrary } from "./library.ts";
import { checked } from "./native_error.ts";
import { NativeRecords, type RecordOptions } from "./native_records.ts";

const MAGIC = 0x45504274;
const VERSION = 1;
/** Numbers of `Family` in zig/tokenizer/scan.zig. */
export const FAMILIES = { gpt2: 0, gpt4: 1, gpt4o: 2 } as const;

export interface WordPattern {
  readonly family: keyof typeof FAMILIES;
  /** Most digits of a word; 0 for gpt2, which has no limit. */
  readonly digits: number;
  /** White space at a text's end is one word. */
  readonly endFirst: boolean;
}

export interface BpeVocabulary {
  readonly pattern: WordPattern;
  /** A word that is a token is that token, whatever its merges say. */
  readonly wholeWords: boolean;
  /** Left and right token of each merge, in order; "ranks": a token's id is its rank. */
  readonly merges: Uint32Array | "ranks";
  /** Token and 1 if special, for each added token. */
  readonly added: Uint32Array;
  /** Of each id: 0 not taken, 1 of the model, 2 only an added token. */
  readonly kinds: Uint8Array;
  /** Where each token starts in `bytes`, then where the last one ends. */
  readonly starts: Uint32Array;
  readonly bytes: Uint8Array;
}

function specOf(vocabulary: BpeVocabulary): Uint8Array {
  const { pattern, wholeWords, added, kinds, starts, bytes } = vocabulary;
  const byRank = vocabulary.merges === "ranks";
  const merges = vocabulary.merges === "ranks" ? new Uint32Array(0) : vocabulary.merges;
  const flags = (pattern.endFirst ? 1 : 0) | (wholeWords ? 2 : 0) | (byRank ? 4 : 0);
  const counts = [kinds.length, merges.length / 2, added.length / 2, bytes.length];
  const header = [MAGIC, VERSION, FAMILIES[pattern.family], pattern.digits, flags, ...counts];
  const words = Uint32Array.from(header);
  return Buffer.concat(
    [words, starts, merges, added, kinds, bytes].map(
      (part) => new Uint8Array(part.buffer, part.byteOffset, part.byteLength),
    ),
  );
}

/** Which added tokens are found in a text: none, those that are not special, or all. */
const LOOK_FOR = { none: 0, plain: 1, all: 2 } as const;
export type LookFor = keyof typeof LOOK_FOR;

/** Frees the tokenizers that were not closed when nothing refers to them any more. */
const forgotten = new FinalizationRegistry<number>((handle) => {
  openLibrary().symbols.theseus_tokenizer_close(handle);
});

/** Text of this many bytes goes through room that is kept, so that short texts allocate nothing but their tokens. */
const KEPT_BYTES = 1 << 20;

/** Plain data. */
export interface LentTokenizer {
  readonly handle: number;
  readonly wide: boolean;
}

export class NativeTokenizer {
  private readonly library = openLibrary();
  private readonly handle: number;
  private readonly wide: boolean;
  private room: Uint16Array | Uint32Array | undefined;
  private utf8: Uint8Array | undefined;

  private constructor(handle: number, wide: boolean) {
    this.handle = handle;
    this.wide = wide;
  }

  /** Throws NativeError `unsupported` for vocabularies that only the reference can do. */
  static open(vocabulary: BpeVocabulary): NativeTokenizer {
    const spec = specOf(vocabulary);
    const library = openLibrary();
    const handle = checked(library, library.symbols.theseus_tokenizer_open(spec, spec.length));
    const opened = new NativeTokenizer(handle, vocabulary.kinds.length > 1 << 16);
    forgotten.register(opened, handle, opened);
    return opened;
  }

  /** For another thread of the process, which may use it as long as this one is there. */
  lend(): LentTokenizer {
    const { handle, wide } = this;
    return { handle, wide };
  }

  static borrow({ handle, wide }: LentTokenizer): NativeTokenizer {
    return new NativeTokenizer(handle, wide);
  }

  encode(text: string | Uint8Array, lookFor: LookFor, threads: number): Uint16Array | Uint32Array {
    const bytes = typeof text === "string" ? this.bytesOf(text) : text;
    if (bytes.length > KEPT_BYTES)
      return this.into(this.newRoom(bytes.length), bytes, lookFor, threads);
    this.room ??= this.newRoom(KEPT_BYTES);
    return this.into(this.room, bytes, lookFor, 1);
  }

  /** For many records in one call. Added tokens that are not special are found in them. */
  records(options: RecordOptions): NativeRecords {
    return new NativeRecords(this.handle, this.wide, options);
  }

  /** Pairs of tokens, in order: the merges that can happen. */
  merges(): Uint32Array {
    const { symbols } = this.library;
    const count = checked(this.library, symbols.theseus_tokenizer_merges(this.handle, null, 0));
    const merges = new Uint32Array(2 * count);
    checked(this.library, symbols.theseus_tokenizer_merges(this.handle, merges, merges.byteLength));
    return merges;
  }

  close(): void {
    forgotten.unregister(this);
    checked(this.library, this.library.symbols.theseus_tokenizer_close(this.handle));
  }

  private bytesOf(text: string): Uint8Array {
    // A UTF-16 unit is three bytes at most.
    if (text.length * 3 > KEPT_BYTES) return new TextEncoder().encode(text);
    this.utf8 ??= new Uint8Array(KEPT_BYTES);
    return this.utf8.subarray(0, new TextEncoder().encodeInto(text, this.utf8).written);
  }

  private newRoom(tokens: number): Uint16Array | Uint32Array {
    return this.wide ? new Uint32Array(tokens) : new Uint16Array(tokens);
  }

  private into(
    room: Uint16Array | Uint32Array,
    bytes: Uint8Array,
    lookFor: LookFor,
    threads: number,
  ): Uint16Array | Uint32Array {
    const count = checked(
      this.library,
      this.library.symbols.theseus_tokenizer_encode(
        this.handle,
        bytes,
        bytes.length,
        LOOK_FOR[lookFor],
        room.BYTES_PER_ELEMENT,
        room,
        room.byteLength,
        threads,
      ),
    );
    assert(count <= room.length, "more tokens than bytes");
    return room.slice(0, count);
  }
}
