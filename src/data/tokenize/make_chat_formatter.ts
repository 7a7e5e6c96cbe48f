/** @file The formatter for conversations: each through a chat template. */
import { log } from "../../util/log.ts";
import type { Conversation } from "../chat/conversation.ts";
import { readConversation, readPair } from "../chat/read_conversation.ts";
import { renderConversation } from "../chat/render_conversation.ts";
import { missingMarkers, templateFor } from "../chat/template_for.ts";
import type { Tokenizer } from "../tokenizer.ts";
import { ChatFormatter, type ChatSpec, type Rendered } from "./chat_formatter.ts";
import type { Formatter } from "./formatter.ts";

type Fields = Readonly<Record<string, unknown>>;

export function makeChatFormatter(
  kind: "rows" | "pairs",
  chat: ChatSpec,
  tokenizer: Tokenizer,
): Formatter {
  const { template: templateName, date, format, fields, system } = chat;
  const template = templateFor(templateName, tokenizer, date === null ? {} : { date });
  const options = {
    ...(format === null ? {} : { format }),
    ...(fields === undefined ? {} : { fields }),
    ...(system === null ? {} : { system }),
  };
  const one = (conversation: Conversation): Rendered =>
    renderConversation(conversation, template, tokenizer);
  const render = (record: Fields): readonly Rendered[] => {
    if (kind === "rows") return [one(readConversation(record, options))];
    const { chosen, rejected } = readPair(record, options);
    return [one(chosen), one(rejected)];
  };
  const { name, fingerprint } = template;
  return new ChatFormatter(kind, tokenizer, { name, fingerprint }, render, chat);
}

/** Says so when a template's markers are no tokens of the tokenizer: they are learned as ordinary text then. */
export function warnOfMarkers({ template }: ChatSpec, tokenizer: Tokenizer): void {
  const missing = missingMarkers(templateFor(template, tokenizer), tokenizer);
  if (missing.length > 0)
    log.warn(
      `the tokenizer ${tokenizer.name} has no token for ${missing.join(" ")} of the template ${template}: they become ordinary text`,
    );
}
