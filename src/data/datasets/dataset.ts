/** @file A dataset by a name that people use: where it is and what its records look like. One small file each. */
import type { ChatFormat } from "../chat/read_conversation.ts";

export interface DatasetDefinition {
  readonly name: string;
  /** What it is, how large, under which licence. */
  readonly doc: string;
  /** `org/name` on the hub; instead of `files`. */
  readonly hub?: string;
  /** Branch, tag or commit. */
  readonly revision?: string;
  /** The hub's configuration when the user names none. */
  readonly config?: string;
  /** The hub's split when the user names none; default: train. */
  readonly split?: string;
  /** Files, folders and globs; instead of `hub`. */
  readonly files?: readonly string[];
  /** text: for data/tokenize. rows, pairs: for the jobs of that name. */
  readonly kind: "text" | "rows" | "pairs";
  /** The field that holds the text. */
  readonly textField?: string;
  /** How conversations are written; absent: found out from each record. */
  readonly format?: ChatFormat;
}
