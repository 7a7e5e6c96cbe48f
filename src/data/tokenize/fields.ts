/** @file Configuration of the tokenization jobs. */
import { field } from "../../config/field.ts";
import { enumOf, float, int, list, nullable, string } from "../../config/schema.ts";
import { CHAT_FORMATS } from "../chat/read_conversation.ts";
import { OVERLONG } from "./chat_formatter.ts";

export const tokensFields = {
  output: field(
    "tokens/output",
    nullable(string()),
    null,
    "folder that is written: a name below ROOT/data, or a path with a slash; null: the run's name",
  ),
  tokenizer: field(
    "tokens/tokenizer",
    string(),
    "gpt2",
    "bytes, gpt2, cl100k_base, o200k_base, a tokenizer.json or its folder, or hf:org/name",
  ),
  validationFraction: field(
    "tokens/validation_fraction",
    float({ min: 0, max: 0.5 }),
    0.005,
    "share of the documents that is held out; which ones depends on their text and the seed alone",
  ),
  seed: field("tokens/seed", int({ min: 0 }), 0, "of the choice of held-out documents"),
  shardMb: field(
    "tokens/shard_mb",
    int({ min: 1 }),
    256,
    "text that makes one shard, in MiB; what an interruption keeps does not depend on it",
  ),
  workers: field(
    "tokens/workers",
    nullable(int({ min: 1, max: 256 })),
    null,
    "threads; null: one a core, at most 8. The result does not depend on it",
  ),
};

export const textFields = {
  startToken: field(
    "tokens/start_token",
    string(),
    "none",
    "token before every document: none, auto (the tokenizer's begin of text), or its text",
  ),
  endToken: field(
    "tokens/end_token",
    string(),
    "auto",
    "token after every document: auto (the tokenizer's end of text, where it has one), none, or its text",
  ),
};

export const chatFields = {
  template: field(
    "chat/template",
    string(),
    "auto",
    "auto (the tokenizer's own), chatml, llama3, plain, raw, a .jinja file or a model's folder",
  ),
  format: field(
    "chat/format",
    nullable(enumOf(CHAT_FORMATS)),
    null,
    "how conversations are written; null: the dataset's own, else found out from each record's fields",
  ),
  fields: field(
    "chat/fields",
    list(string()),
    [],
    "fields that are not called as usual: [messages=dialog]",
  ),
  system: field(
    "chat/system",
    nullable(string()),
    null,
    "system prompt of conversations without one",
  ),
  date: field(
    "chat/date",
    nullable(string()),
    null,
    "what a template takes for today (2026-01-31), so that the same text comes of it on any day",
  ),
};

export const rowsFields = {
  maxTokens: field(
    "rows/max_tokens",
    nullable(int({ min: 2 })),
    null,
    "longest row; null: any length",
  ),
  overlong: field(
    "rows/overlong",
    enumOf(OVERLONG),
    "error",
    "what happens to a longer one; all but error are counted (pairs cannot be split)",
  ),
};
