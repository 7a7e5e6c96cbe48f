/** @file templateFor: a chat template by name, by file, or as the tokenizer's own folder has it. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { ConfigError, UserError } from "../../util/errors.ts";
import { didYouMean } from "../../util/suggest.ts";
import type { Tokenizer } from "../tokenizer.ts";
import { BUILTIN_TEMPLATES } from "./builtin_templates.ts";
import { ChatTemplate } from "./chat_template.ts";
import { isObject, type Json } from "./conversation.ts";

export interface TemplateOptions {
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
  readonly date?: string | undefined;
}

type Files = Readonly<Record<string, string>>;
interface Sources {
  readonly source: string;
  readonly toolSource?: string | undefined;
}

const NAMES = Object.keys(BUILTIN_TEMPLATES);
const SPECIAL_KEY = /^(bos|eos|unk|sep|pad|cls|mask|image|boi|eoi|audio)_token$/;

/** Special tokens by their use, as transformers hands them to templates. */
function specialOf(config: Json, tokenizer: Tokenizer): Record<string, string> {
  const special: Record<string, string> = {};
  for (const use of ["bos", "eos", "pad"] as const) {
    const id = tokenizer.special[use];
    if (id !== undefined) special[`${use}_token`] = tokenizer.decode([id]);
  }
  for (const [key, value] of Object.entries(config)) {
    if (!SPECIAL_KEY.test(key)) continue;
    const content = isObject(value) ? value.content : value;
    if (typeof content === "string") special[key] = content;
  }
  return special;
}

/** `chat_template` is one template, or a list of them with names. */
function sourcesOf(value: unknown): Sources | undefined {
  if (typeof value === "string") return { source: value };
  if (!Array.isArray(value)) return undefined;
  const named = new Map<string, string>();
  for (const entry of value)
    if (isObject(entry) && typeof entry.name === "string" && typeof entry.template === "string")
      named.set(entry.name, entry.template);
  const source = named.get("default");
  return source === undefined ? undefined : { source, toolSource: named.get("tool_use") };
}

function configOf(files: Files, place: string): Json {
  const text = files["tokenizer_config.json"];
  if (text === undefined) return {};
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch {
    // Reported below, like other content that is no object.
  }
  throw new ConfigError(`${join(place, "tokenizer_config.json")} is not a JSON object`);
}

const FILES = ["tokenizer_config.json", "chat_template.jinja", "chat_template.json"];

function folderFiles(folder: string): Files {
  const files: Record<string, string> = {};
  for (const name of FILES) {
    const path = join(folder, name);
    if (existsSync(path)) files[name] = readFileSync(path, "utf8");
  }
  return files;
}

/** chat_template.jinja before the configuration's own, as transformers has it. */
function ownSources(files: Files, config: Json): Sources | undefined {
  const jinja = files["chat_template.jinja"];
  if (jinja !== undefined) return { source: jinja };
  const json = files["chat_template.json"];
  const beside = json === undefined ? undefined : (JSON.parse(json) as Json).chat_template;
  return sourcesOf(config.chat_template) ?? sourcesOf(beside);
}

function fromFiles(
  files: Files,
  place: string,
  tokenizer: Tokenizer,
  options: TemplateOptions,
): ChatTemplate {
  const config = configOf(files, place);
  const sources = ownSources(files, config);
  if (sources === undefined)
    throw new ConfigError(`${place} has no chat template`, {
      hint: `name one: ${NAMES.join(", ")}, a .jinja file or a model's folder`,
    });
  return new ChatTemplate({
    name: place,
    ...sources,
    special: specialOf(config, tokenizer),
    ...options,
  });
}

/**
 * `auto`: the tokenizer's own; else chatml, llama3, plain or raw; a .jinja file; a folder with a tokenizer_config.json or
 * chat_template.jinja. Special tokens are those of the folder, else of the tokenizer.
 */
export function templateFor(
  name: string,
  tokenizer: Tokenizer,
  options: TemplateOptions = {},
): ChatTemplate {
  const files = tokenizer.name === "bytes" ? {} : tokenizer.files();
  if (name === "auto") return fromFiles(files, tokenizer.name, tokenizer, options);
  const builtin = Object.hasOwn(BUILTIN_TEMPLATES, name) ? BUILTIN_TEMPLATES[name] : undefined;
  const special = (): Record<string, string> =>
    specialOf(configOf(files, tokenizer.name), tokenizer);
  if (builtin !== undefined)
    return new ChatTemplate({ name, ...builtin, special: special(), ...options });
  const stat = statSync(name, { throwIfNoEntry: false });
  if (stat === undefined)
    throw new UserError(`no chat template ${JSON.stringify(name)}`, {
      code: "not_found",
      hint: `expected auto, ${NAMES.join(", ")}, a .jinja file or a model's folder.${didYouMean(name, NAMES)}`,
    });
  if (stat.isDirectory()) return fromFiles(folderFiles(name), name, tokenizer, options);
  return new ChatTemplate({
    name,
    source: readFileSync(name, "utf8"),
    special: special(),
    ...options,
  });
}

/** Markers of a built-in template that this tokenizer has no token for, so that they become ordinary text. */
export const missingMarkers = (template: ChatTemplate, tokenizer: Tokenizer): readonly string[] =>
  template.markers.filter((marker) => tokenizer.idOf(marker) === undefined);
