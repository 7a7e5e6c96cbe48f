/**
 * @file renderConversation: a conversation as text, ids and loss mask. Texts of special tokens inside messages stay text; the
 * common conversation has none and is encoded in one go.
 */
import { assert, type ErrorPlace } from "../../util/errors.ts";
import type { Tokenizer, Tokens } from "../tokenizer.ts";
import { tokensOf } from "../tokenizers/encoder.ts";
import { idsWithOwn, maskOf } from "./chat_ids.ts";
import type { ChatTemplate, RenderedChat } from "./chat_template.ts";
import { type Conversation, recordError } from "./conversation.ts";
import { checkWords } from "./lost_words.ts";
import { SpecialTexts, type Stretch } from "./special_texts.ts";
import { type Span, turnSpans } from "./turn_spans.ts";

export interface RenderedConversation {
  readonly text: string;
  readonly ids: Tokens;
  /** 1 where the loss counts the token. */
  readonly mask: Uint8Array;
  /** The trained characters of `text`. */
  readonly spans: readonly Span[];
}

export function renderConversation(
  conversation: Conversation,
  template: ChatTemplate,
  tokenizer: Tokenizer,
): RenderedConversation {
  const special = SpecialTexts.of(tokenizer);
  const chat = template.render(conversation);
  checkWords(conversation, template, chat);
  const spans = turnSpans({ conversation, template, chat, special });
  const own = forgeries(conversation, special)
    ? ownSpecials(conversation, template, special, chat, false)
    : undefined;
  if (own === undefined) {
    const { text } = chat;
    const encode = (part: string): Tokens => tokenizer.encode(part, { parseSpecial: true });
    const ids = encode(text);
    const mask = maskOf(text, ids, spans, tokenizer, (end) => encode(text.slice(0, end)));
    return { text, ids, mask, spans };
  }
  return apart(conversation, chat.text, spans, own, tokenizer);
}

/** For sampling: the conversation with what makes the model answer. */
export function renderPrompt(
  conversation: Conversation,
  template: ChatTemplate,
  tokenizer: Tokenizer,
): { readonly text: string; readonly ids: Tokens } {
  const special = SpecialTexts.of(tokenizer);
  const chat = template.render(conversation, { addGenerationPrompt: true });
  checkWords(conversation, template, chat);
  if (!forgeries(conversation, special))
    return { text: chat.text, ids: tokenizer.encode(chat.text, { parseSpecial: true }) };
  const own = ownSpecials(conversation, template, special, chat, true);
  return apart(conversation, chat.text, [], own, tokenizer);
}

/** Throws when the loss would count no token: `what` says after what, for instance "after truncation to 2048 tokens". */
export function requireTrainable(mask: Uint8Array, place: ErrorPlace, what = ""): void {
  if (mask.includes(1)) return;
  const cause = what === "" ? "no assistant's turn is trained" : what;
  throw recordError(place, "", `expected a token to train on, got none (${cause})`);
}

function* textsOf(value: unknown): Generator<string> {
  if (typeof value === "string") yield value;
  else if (Array.isArray(value)) for (const item of value) yield* textsOf(item);
  else if (value instanceof Map) for (const item of value.values()) yield* textsOf(item);
  else if (typeof value === "object" && value !== null)
    for (const item of Object.values(value)) yield* textsOf(item);
}

function* conversationTexts({ messages, tools, variables }: Conversation): Generator<string> {
  for (const { fields } of messages)
    for (const [key, value] of Object.entries(fields)) if (key !== "role") yield* textsOf(value);
  if (tools !== undefined) yield* textsOf(tools);
  yield* textsOf(variables);
}

/** Whether some text of the conversation could pass for a special token. */
function forgeries(conversation: Conversation, special: SpecialTexts): boolean {
  if (special.texts.length === 0) return false;
  for (const text of conversationTexts(conversation))
    if (special.risks(text).length > 0) return true;
  return false;
}

type Own = readonly (Stretch & { readonly text: string })[];

/** A character of the private area that the conversation does not use. */
function placeholderFor(text: string): string {
  for (let code = 0xe000; code < 0xf900; code += 1) {
    const character = String.fromCharCode(code);
    if (!text.includes(character)) return character;
  }
  return assert(false, "a text with every private character") as never;
}

/**
 * The special tokens that the template wrote: the conversation is rendered once more with every risky character of its
 * texts replaced by a character that is no part of any token, and what is left are the template's. The two renderings may
 * differ in nothing else.
 */
function ownSpecials(
  conversation: Conversation,
  template: ChatTemplate,
  special: SpecialTexts,
  chat: RenderedChat,
  addGenerationPrompt: boolean,
): Own {
  const placeholder = placeholderFor(chat.text);
  const rewrite = (text: string): string => {
    let out = text;
    for (const { start, end } of special.risks(text))
      out = out.slice(0, start) + placeholder.repeat(end - start) + out.slice(end);
    return out;
  };
  const other = template.render(conversation, { rewrite, addGenerationPrompt }).text;
  const differs = (unit: string, at: number): boolean =>
    unit !== chat.text[at] && unit !== placeholder;
  if (other.length !== chat.text.length || other.split("").some(differs))
    throw recordError(
      conversation.place,
      "",
      `a message holds the text of a special token, and the template ${template.name} treats it as one`,
      "take the text out of the message",
    );
  return [...special.find(other)];
}

function apart(
  conversation: Conversation,
  text: string,
  spans: readonly Span[],
  own: Own,
  tokenizer: Tokenizer,
): RenderedConversation {
  const encode = (end: number): number[] =>
    idsWithOwn(
      text.slice(0, end),
      own.filter((mark) => mark.end <= end),
      tokenizer,
    );
  const ids = tokensOf(encode(text.length), tokenizer.vocabSize);
  if (tokenizer.decode(ids).normalize() !== text.normalize())
    throw recordError(
      conversation.place,
      "",
      `a message holds the text of a special token, which ${tokenizer.name} cannot keep apart from the token`,
      "take the text out of the message",
    );
  return { text, ids, mask: maskOf(text, ids, spans, tokenizer, encode), spans };
}
