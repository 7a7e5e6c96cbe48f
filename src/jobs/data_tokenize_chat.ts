/**
 * @file The jobs data/tokenize_rows and data/tokenize_pairs: conversations become rows with a loss mask, or pairs of a chosen and a
 * rejected answer.
 */
import { fieldNames } from "../data/chat/field_names.ts";
import { sourceFields } from "../data/sources/fields.ts";
import { chatFields, rowsFields, tokensFields } from "../data/tokenize/fields.ts";
import type { TaskContext } from "../train/task.ts";
import { ConfigError } from "../util/errors.ts";
import { defineTask } from "./define_task.ts";

const uses = [
  { config: sourceFields },
  { config: tokensFields },
  { config: chatFields },
  { config: rowsFields },
] as const;
const free = ["tokens/workers"];

async function runChat(context: TaskContext, kind: "rows" | "pairs") {
  const { resolveSource } = await import("../data/sources/resolve.ts");
  const { runTokenization } = await import("./run_tokenization.ts");
  const { config } = context;
  const { maxTokens, overlong } = config.values(rowsFields);
  if (kind === "pairs" && overlong === "split")
    throw new ConfigError("pairs cannot be split: expected error, drop or truncate", {
      place: { key: "rows.overlong" },
    });
  const { files, format, textField } = await resolveSource(config.values(sourceFields), kind);
  const { fields: named, ...given } = config.values(chatFields);
  const fields = fieldNames(named, { key: "chat.fields" });
  const chat = {
    ...{ ...given, format: given.format ?? format, maxTokens, overlong },
    // What is not said is no part of the settings that folders are compared by.
    ...(fields === undefined ? {} : { fields }),
  };
  const text = { textField, startToken: "none", endToken: "none" };
  return runTokenization(context, { kind, files, text, chat });
}

export const dataTokenizeRows = defineTask({
  name: "data/tokenize_rows",
  doc: "turn conversations into rows of tokens with a loss mask",
  uses,
  free,
  run: (context) => runChat(context, "rows"),
});

export const dataTokenizePairs = defineTask({
  name: "data/tokenize_pairs",
  doc: "turn chosen and rejected answers into pairs of rows",
  uses,
  free,
  run: (context) => runChat(context, "pairs"),
});
