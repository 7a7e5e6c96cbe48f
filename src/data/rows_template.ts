/**
 * @file The chat template that rows of tokens were rendered with, as text: a model that is trained on them is talked to with it, so it
 * goes into the model's folder.
 */
import { UserError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import type { ChatTemplate } from "./chat/chat_template.ts";
import { templateFor } from "./chat/template_for.ts";
import type { TokensIndex } from "./shards/format.ts";
import type { Tokenizer } from "./tokenizer.ts";

function found(name: string, tokenizer: Tokenizer): ChatTemplate | null {
  try {
    return templateFor(name, tokenizer);
  } catch (error) {
    if (error instanceof UserError) return null;
    throw error;
  }
}

/** Null: there is none, or it is the tokenizer's own, which its files hold. */
export function rowsTemplate(
  indices: readonly Pick<TokensIndex, "template">[],
  tokenizer: Tokenizer,
): string | null {
  const used = indices.flatMap(({ template }) => (template === null ? [] : [template]));
  const [first] = used;
  if (first === undefined) return null;
  const { name, fingerprint } = first;
  if (used.some((other) => other.fingerprint !== fingerprint)) {
    log.warn("the folders of tokens have different chat templates: checkpoints hold none");
    return null;
  }
  if (found("auto", tokenizer)?.fingerprint === fingerprint) return null;
  const template = found(name, tokenizer);
  // A template that prints the date has another fingerprint on each day.
  if (template !== null && (template.fingerprint === fingerprint || template.dependsOnToday))
    return template.source;
  log.warn(`the chat template ${name} of the tokens is not there: checkpoints hold none`);
  return null;
}
