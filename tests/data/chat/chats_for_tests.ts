/** @file What the tests of chats share: templates and conversations of the fixtures, and the trained part of a text in « ». */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ChatTemplate } from "../../../src/data/chat/chat_template.ts";
import type { Conversation } from "../../../src/data/chat/conversation.ts";
import { readConversation } from "../../../src/data/chat/read_conversation.ts";
import { SpecialTexts } from "../../../src/data/chat/special_texts.ts";
import { type Span, turnSpans } from "../../../src/data/chat/turn_spans.ts";
import { DataError } from "../../../src/util/errors.ts";

const folder = join(import.meta.dir, "../../fixtures/chat");
export const read = (name: string): string => readFileSync(join(folder, name), "utf8");
export const lines = <T>(name: string): T[] =>
  read(name)
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

export const SPECIAL: Record<string, Record<string, string>> = JSON.parse(
  read("special_tokens.json"),
);
export const RECORDS: Record<string, Record<string, unknown>> = JSON.parse(
  read("conversations.json"),
);

export const fixtureTemplate = (name: string): ChatTemplate =>
  new ChatTemplate({ name, source: read(`templates/${name}.jinja`), special: SPECIAL[name] ?? {} });

export const ownTemplate = (source: string, special: Record<string, string> = {}): ChatTemplate =>
  new ChatTemplate({ name: "own", source, special });

/** A template of a loop over the messages, with `m` for each, and of what asks the model to go on. */
export const loop = (each: string, ask = ""): string =>
  `{% for m in messages %}${each}{% endfor %}${ask === "" ? "" : `{% if add_generation_prompt %}${ask}{% endif %}`}`;

/** Turns of user and assistant, one after the other. */
export const talk = (...contents: readonly string[]): Conversation =>
  readConversation(
    {
      messages: contents.map((content, i) => ({
        role: i % 2 === 0 ? "user" : "assistant",
        content,
      })),
    },
    { place: { path: "chats.jsonl", line: 7 } },
  );

export function marked(text: string, spans: readonly Span[]): string {
  let [out, at] = ["", 0];
  for (const { start, end } of spans) {
    out += `${text.slice(at, start)}«${text.slice(start, end)}»`;
    at = end;
  }
  return out + text.slice(at);
}

const MARKS = ["<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|end|>", "<end_of_turn>"];

/** The rendered text with its trained spans, or the error. */
export function markedTurns(template: ChatTemplate, conversation: Conversation): string {
  try {
    const chat = template.render(conversation);
    const special = new SpecialTexts(MARKS);
    return marked(chat.text, turnSpans({ conversation, template, chat, special }));
  } catch (error) {
    if (error instanceof DataError) return `error: ${error.message}`;
    throw error;
  }
}
