/** @file The conversations of a file: JSON lines, one JSON record, or a list of them, rendered one after the other. */
import type { ChatTemplate } from "../data/chat/chat_template.ts";
import { parseExactJson } from "../data/chat/exact_json.ts";
import { type ChatFormat, readConversation } from "../data/chat/read_conversation.ts";
import { type RenderedConversation, renderConversation } from "../data/chat/render_conversation.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { DataError } from "../util/errors.ts";

export interface ShownChat extends RenderedConversation {
  /** Of the file, or the number of the record in a list. */
  readonly line: number;
}

interface Options {
  readonly path: string;
  readonly template: ChatTemplate;
  readonly tokenizer: Tokenizer;
  readonly system: string | undefined;
  readonly format: ChatFormat | undefined;
  readonly fields: Readonly<Record<string, string>> | undefined;
}

function parsed(text: string, path: string, line: number): unknown {
  try {
    return parseExactJson(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new DataError(`expected a conversation as JSON: ${why}`, { place: { path, line } });
  }
}

function* recordsOf(text: string, path: string): Generator<readonly [number, unknown]> {
  const lines = text.split("\n");
  const first = lines.find((line) => line.trim() !== "") ?? "";
  // A record over several lines, or a list, is one document.
  const isDocument = /^\s*(\[|\{\s*$)/.test(first);
  if (isDocument) {
    const all = parsed(text, path, 1);
    for (const [i, record] of (Array.isArray(all) ? all : [all]).entries()) yield [i + 1, record];
    return;
  }
  for (const [i, line] of lines.entries())
    if (line.trim() !== "") yield [i + 1, parsed(line, path, i + 1)];
}

export function* chatsOf(bytes: Uint8Array, options: Options): Generator<ShownChat> {
  const { path, template, tokenizer, ...how } = options;
  for (const [line, record] of recordsOf(new TextDecoder().decode(bytes), path)) {
    const conversation = readConversation(record, { ...how, place: { path, line } });
    yield { line, ...renderConversation(conversation, template, tokenizer) };
  }
}
