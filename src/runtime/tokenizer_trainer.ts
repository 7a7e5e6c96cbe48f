/** @file The native trainer of byte-pair vocabularies: texts go in, merges come out. Its numbers are those of zig/tokenizer/train.zig. */
import { openLibrary } from "./library.ts";
import { checked } from "./native_error.ts";
import { FAMILIES, type WordPattern } from "./tokenizer.ts";

export class TokenizerTrainer {
  private readonly library = openLibrary();
  private readonly handle: number;

  constructor(pattern: Pick<WordPattern, "family" | "digits">) {
    const { symbols } = this.library;
    this.handle = checked(
      this.library,
      symbols.theseus_trainer_open(FAMILIES[pattern.family], pattern.digits),
    );
  }

  /** Counts the words of a text, of one that goes on up to a place where it may be cut; returns the bytes taken. */
  add(text: Uint8Array, last: boolean): number {
    const { symbols } = this.library;
    const taken = symbols.theseus_trainer_add(this.handle, text, text.length, last ? 1 : 0);
    return checked(this.library, taken);
  }

  /** Left and right number of each merge; numbers from 256 on are earlier merges. */
  learn(wanted: number, least: number): Uint32Array {
    const { symbols } = this.library;
    const count = checked(this.library, symbols.theseus_trainer_learn(this.handle, wanted, least));
    const merges = new Uint32Array(2 * count);
    if (count > 0)
      checked(this.library, symbols.theseus_trainer_merges(this.handle, merges, merges.byteLength));
    return merges;
  }

  close(): void {
    checked(this.library, this.library.symbols.theseus_trainer_close(this.handle));
  }
}
