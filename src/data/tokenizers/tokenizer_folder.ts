/** @file A tokenizer on disk: tokenizer.json and the files beside it that say what its special tokens are for. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { DataError, UserError } from "../../util/errors.ts";
import type { SpecialIds } from "../tokenizer.ts";
import { parseTokenizerJson, type TokenizerJson } from "./tokenizer_json.ts";

export interface TokenizerFolder {
  readonly path: string;
  readonly json: TokenizerJson;
  /** Of tokenizer_config.json over special_tokens_map.json; empty without them. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly files: Readonly<Record<string, string>>;
}

export const TOKENIZER_FILE = "tokenizer.json";
/** What goes with tokenizer.json into a folder that Hugging Face loads. */
export const BESIDE = ["tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"];

function objectOf(text: string | undefined, path: string): Readonly<Record<string, unknown>> {
  if (text === undefined) return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {
    // Reported below, like other content that is no object.
  }
  throw new DataError(`${path} is not a JSON object`, { place: { path } });
}

/** `name` as the user wrote it: a tokenizer.json, or a folder that holds one. */
export function readTokenizerFolder(name: string): TokenizerFolder {
  const stat = statSync(name, { throwIfNoEntry: false });
  const path = stat?.isDirectory() === true ? join(name, TOKENIZER_FILE) : name;
  if (stat === undefined || !existsSync(path))
    throw new UserError(`no tokenizer at ${path}`, {
      code: "not_found",
      hint: "a tokenizer is bytes, gpt2, cl100k_base, o200k_base, a tokenizer.json, a folder that holds one, or hf:org/name",
      place: { path },
    });
  const text = readFileSync(path, "utf8");
  const json = parseTokenizerJson(text, path);
  const files: Record<string, string> = { [TOKENIZER_FILE]: text };
  // Beside a file of another name stand files of other tokenizers.
  const folder = basename(path) === TOKENIZER_FILE ? dirname(path) : undefined;
  for (const each of folder === undefined ? [] : BESIDE) {
    const file = join(folder ?? "", each);
    if (existsSync(file)) files[each] = readFileSync(file, "utf8");
  }
  const config = {
    ...objectOf(files["special_tokens_map.json"], join(dirname(path), "special_tokens_map.json")),
    ...objectOf(files["tokenizer_config.json"], join(dirname(path), "tokenizer_config.json")),
  };
  return { path, json, config, files };
}

/** A special token stands as its text or as an object with its `content`. */
function contentOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  const content = (value as { content?: unknown } | null | undefined)?.content;
  return typeof content === "string" ? content : undefined;
}

export function specialIdsOf(
  config: Readonly<Record<string, unknown>>,
  idOf: (content: string) => number | undefined,
): SpecialIds {
  const id = (key: string): number | undefined => {
    const content = contentOf(config[key]);
    return content === undefined ? undefined : idOf(content);
  };
  return { bos: id("bos_token"), eos: id("eos_token"), pad: id("pad_token") };
}
