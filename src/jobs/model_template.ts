/** @file The chat template that a model is talked to with: its own where it has one. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ChatTemplate } from "../data/chat/chat_template.ts";
import { missingMarkers, templateFor } from "../data/chat/template_for.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { ConfigError } from "../util/errors.ts";
import { log } from "../util/log.ts";
import type { TextModel } from "./text_model.ts";

const TEMPLATE_FILE = "chat_template.jinja";
/** What a model without a template of its own is talked to with: roles in words. */
const FALLBACK = "plain";

/** `auto`: the template beside the weights, which they were trained on, else the tokenizer's own, else roles in words. */
export function modelTemplate(name: string, { tokenizer, folder }: TextModel): ChatTemplate {
  const own = () => ownOrPlain(tokenizer, folder);
  const template = name === "auto" ? own() : templateFor(name, tokenizer);
  const missing = missingMarkers(template, tokenizer);
  if (missing.length > 0)
    log.warn(
      `the tokenizer has no token ${missing.join(", ")}: the template ${template.name} writes them as ordinary text`,
    );
  return template;
}

function ownOrPlain(tokenizer: Tokenizer, folder: string): ChatTemplate {
  if (existsSync(join(folder, TEMPLATE_FILE))) return templateFor(folder, tokenizer);
  try {
    return templateFor("auto", tokenizer);
  } catch (error) {
    if (!(error instanceof ConfigError) || !error.message.endsWith("has no chat template"))
      throw error;
    log.warn(`the model has no chat template; its turns are written as "User: ..." (${FALLBACK})`);
    return templateFor(FALLBACK, tokenizer);
  }
}
