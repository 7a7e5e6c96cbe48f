/** @file One input file of a job. Plain data: it travels to the workers. */
import type { RecordForm } from "../../runtime/index.ts";
import type { FileFormat } from "./format.ts";

export interface SourceFile extends FileFormat {
  /** Where it is, and what messages call it. */
  readonly path: string;
  /** Its name within what the user named, the same on every machine. */
  readonly name: string;
  readonly bytes: number;
  /** Of its last change; tells a file that was replaced from the one that a job began with. */
  readonly modifiedMs: number;
}

export interface ReadOptions {
  readonly textField: string;
  readonly txtDocuments: "file" | "line" | "blank_line";
  readonly maxRecordBytes: number;
  /** Columns of parquet that are read; null: all. */
  readonly columns: readonly string[] | null;
  /** Numbers of JSON as they are written (exact_json.ts), for chat templates that print them. */
  readonly exact?: boolean;
}

/** A block of a file as it is, for readers that find the records in it themselves. */
export interface RawRecords {
  readonly form: RecordForm;
  /** Whole records. */
  readonly bytes: Uint8Array;
  /** Null: a blank one. */
  item(record: Uint8Array): Item | null;
  /** Position of a record, from where it starts in `bytes`. */
  position(start: number): number;
}

/** A record, or why there is none. */
export type Item =
  | {
      readonly value: Readonly<Record<string, unknown>>;
      /** The document goes on in the next item / began in one before. */
      readonly unfinished?: boolean;
      readonly continued?: boolean;
    }
  | { readonly bad: string };

export interface Batch {
  readonly items: readonly Item[];
  /** Where it has what the batch was made of; then `items` are made when they are asked for. */
  readonly raw?: RawRecords;
  /** Where reading goes on after this batch. */
  readonly next: number;
  /** Bytes of the input that it took, decompressed. */
  readonly bytes: number;
  /** Where item `index` stands: a position that `placeOf` turns into a line, and where reading may begin, as at `next`. */
  position(index: number): number;
}

/** A part of a file; positions are decompressed bytes, of parquet rows. */
export type Piece =
  | { readonly file: number; readonly kind: "whole" }
  | { readonly file: number; readonly kind: "range"; readonly start: number; readonly end: number }
  | {
      readonly file: number;
      readonly kind: "groups";
      readonly first: number;
      readonly last: number;
    };
