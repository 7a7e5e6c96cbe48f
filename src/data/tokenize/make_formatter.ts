/** @file The formatter that a setup asks for: plain text, or conversations through a chat template. */
import type { Tokenizer } from "../tokenizer.ts";
import type { Formatter } from "./formatter.ts";
import type { TokenizeSetup } from "./setup.ts";
import { TextFormatter } from "./text_formatter.ts";

/** Every worker begins here: what only chats need is loaded for them alone. */
export async function makeFormatter(
  setup: TokenizeSetup,
  tokenizer: Tokenizer,
): Promise<Formatter> {
  const { kind, chat, text } = setup;
  if (kind === "stream" || chat === null) return new TextFormatter(tokenizer, text);
  const { makeChatFormatter } = await import("./make_chat_formatter.ts");
  return makeChatFormatter(kind, chat, tokenizer);
}
