/**
 * @file Words of a message that the template left out. Some templates write a system prompt only before a last question, or no
 * text beside tool calls: training data would lose it without a word.
 */
import type { ChatTemplate, RenderedChat } from "./chat_template.ts";
import { type Conversation, type Message, recordError } from "./conversation.ts";

/** So much of a text's end stands for the text: templates trim it and take thoughts off its beginning. */
const PROBE = 40;

function probeOf({ role, fields }: Message): string {
  const { content } = fields;
  // Results of tools are often written as JSON, in other words than they came in.
  if (typeof content !== "string" || role === "tool") return "";
  const words = (content.split("</think>").at(-1) ?? "").trim();
  // Switches such as /no_think are orders to the template.
  return words.startsWith("/") ? "" : words.slice(-PROBE);
}

export function checkWords(
  { messages, place }: Conversation,
  template: ChatTemplate,
  { text }: RenderedChat,
): void {
  let from = 0;
  messages.forEach((message, i) => {
    const probe = probeOf(message);
    if (probe === "") return;
    // Messages mostly stand in their order; the whole text is searched only where one does not.
    const next = text.indexOf(probe, from);
    if (next >= 0) from = next;
    else if (!text.includes(probe))
      throw recordError(
        place,
        `messages[${i}]`,
        `the template ${template.name} leaves out words of this message (role ${message.role})`,
        "choose another template, or put the words where it writes them",
      );
  });
}
