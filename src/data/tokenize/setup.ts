/** @file What every worker of a job needs to know; plain data that travels to it. */
import type { TokensKind } from "../shards/format.ts";
import type { ReadOptions, SourceFile } from "../sources/source_file.ts";
import type { ChatSpec } from "./chat_formatter.ts";
import type { TextSpec } from "./text_formatter.ts";

export interface TokenizeSetup {
  readonly kind: TokensKind;
  readonly files: readonly SourceFile[];
  readonly read: Omit<ReadOptions, "columns">;
  readonly tokenizer: string;
  readonly text: TextSpec;
  /** For rows and pairs. */
  readonly chat: ChatSpec | null;
  readonly seed: number;
  readonly validationFraction: number;
  readonly onBadLine: "fail" | "skip";
}
