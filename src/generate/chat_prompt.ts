/**
 * @file A conversation as the tokens of a prompt, and what ends the model's turn. That is read off the template: of a finished
 * conversation rendered by it, what stands behind an assistant's words is a special token, or text that stops the answer.
 */
import type { ChatTemplate } from "../data/chat/chat_template.ts";
import { readConversation } from "../data/chat/read_conversation.ts";
import { renderPrompt } from "../data/chat/render_conversation.ts";
import type { Tokenizer } from "../data/tokenizer.ts";

export interface ChatTurn {
  readonly role: string;
  readonly content: string;
}

export interface TurnEnd {
  readonly ids: readonly number[];
  readonly texts: readonly string[];
}

/** Words that no template writes. */
const ANSWER = "theseusanswerends";
const QUESTION = "theseusquestionbegins";

/** Throws the template's own error where it refuses the conversation. */
export function chatPrompt(
  messages: unknown,
  template: ChatTemplate,
  tokenizer: Tokenizer,
): { readonly text: string; readonly ids: readonly number[] } {
  const conversation = readConversation({ messages }, { format: "openai" });
  const { text, ids } = renderPrompt(conversation, template, tokenizer);
  return { text, ids: Array.from(ids) };
}

export function turnEnd(template: ChatTemplate, tokenizer: Tokenizer): TurnEnd {
  const turns: readonly ChatTurn[] = [
    { role: "user", content: "a" },
    { role: "assistant", content: ANSWER },
    { role: "user", content: QUESTION },
  ];
  const { text } = template.render(readConversation({ messages: turns }, { format: "openai" }));
  const start = text.indexOf(ANSWER) + ANSWER.length;
  const end = text.indexOf(QUESTION, start);
  const between = end === -1 ? "" : text.slice(start, end);
  const [first] = tokenizer.encode(between.trimStart(), { parseSpecial: true });
  const isSpecial = first !== undefined && tokenizer.decode([first], { skipSpecial: true }) === "";
  if (isSpecial) return { ids: [first], texts: [] };
  // "\n\nUser: ": a model may put the last space into its next word.
  const words = between.trimEnd();
  return { ids: [], texts: words === "" ? [] : [words] };
}
