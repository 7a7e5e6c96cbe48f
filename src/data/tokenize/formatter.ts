/** @file From a record of a source to what is written: ids, and which of them are trained on. */
import type { TokensKind } from "../shards/format.ts";
import type { Tokens } from "../tokenizer.ts";

export interface Example {
  readonly ids: Tokens;
  /** One byte a token, 1 = trained on; null: all are. */
  readonly mask: Uint8Array | null;
  /** UTF-8 bytes of the text that the ids stand for. */
  readonly textBytes: number;
}

/** A record that is not as expected: fails the job with its place, or is left out and counted. */
export class BadRecord extends Error {}

/** What the record is a part of: sections of one long document come one after another. */
export interface Section {
  readonly continued: boolean;
  readonly unfinished: boolean;
}

export interface Formatter {
  readonly kind: TokensKind;
  /** Whether mask files are written. */
  readonly masked: boolean;
  readonly template: { readonly name: string; readonly fingerprint: string } | null;
  /** Fields that it reads; null: whatever is there. */
  readonly columns: readonly string[] | null;
  /** Documents of a record, for pairs two; none where `count` says why. */
  format(
    record: Readonly<Record<string, unknown>>,
    section: Section,
    count: (what: string, by?: number) => void,
  ): readonly Example[];
  /** What decides on which side of the split the record falls: equal records fall on the same. */
  identity(record: Readonly<Record<string, unknown>>): string | Uint8Array;
}
