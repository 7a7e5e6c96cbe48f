/** @file What the job and its workers tell each other. */
import type { ThreadError } from "../../util/thread_error.ts";
import type { Piece } from "../sources/source_file.ts";
import type { SharedTokenizer } from "../tokenizers/share_tokenizer.ts";
import type { PartResult } from "./run_part.ts";
import type { TokenizeSetup } from "./setup.ts";

export type ToWorker =
  /** `stop` holds one word: not 0 once the worker is to end. A worker that computes sees no messages. */
  | {
      readonly kind: "setup";
      readonly setup: TokenizeSetup;
      /** Null: the worker opens its own. */
      readonly tokenizer: SharedTokenizer | null;
      readonly stop: Int32Array;
    }
  | { readonly kind: "part"; readonly folder: string; readonly pieces: readonly Piece[] };

export type FromWorker =
  | { readonly kind: "ready" }
  | {
      readonly kind: "progress";
      readonly bytes: number;
      readonly tokens: number;
      readonly documents: number;
    }
  /** Null: it was stopped. */
  | { readonly kind: "done"; readonly result: PartResult | null }
  | { readonly kind: "failed"; readonly error: ThreadError };
