/** @file Files, models and data sets that a configuration names: which settings name some, and what kind each is of. */
import { existsSync } from "node:fs";
import type { Config } from "../config/config.ts";
import { BUILTIN_TEXTS } from "../data/builtin_text.ts";
import { BUILTIN_TEMPLATES } from "../data/chat/builtin_templates.ts";
import { ENCODING_NAMES } from "../data/tokenizers/openai.ts";

export type PlaceKind =
  | "text"
  | "tokens"
  | "tokenizer"
  | "source"
  | "dataset"
  | "template"
  | "start"
  | "judged"
  | "task"
  /** Of users' jobs, as far as it is a file here or of the hub. */
  | "other";

export interface NamedPlace {
  /** Of the setting, as people write it. */
  readonly key: string;
  readonly value: string;
  readonly kind: PlaceKind;
}

const texts = (value: unknown): string[] =>
  typeof value === "string" ? [value] : Array.isArray(value) ? value.flatMap(texts) : [];

function strings(value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap(strings);
}

const TOKENIZERS = new Set(["bytes", ...ENCODING_NAMES]);
const TEMPLATES = new Set(["auto", ...Object.keys(BUILTIN_TEMPLATES)]);

interface Kind {
  readonly kind: PlaceKind;
  /** Names that are no places. */
  readonly but?: ReadonlySet<string>;
}

const KINDS: Readonly<Record<string, Kind>> = {
  "data/text": { kind: "text", but: new Set(BUILTIN_TEXTS) },
  "data/tokens": { kind: "tokens" },
  "data/mixture": { kind: "tokens" },
  "data/tokenizer": { kind: "tokenizer", but: TOKENIZERS },
  "tokens/tokenizer": { kind: "tokenizer", but: TOKENIZERS },
  "import/tokenizer": { kind: "tokenizer", but: TOKENIZERS },
  "import/files": { kind: "source" },
  "source/files": { kind: "source" },
  "source/dataset": { kind: "dataset" },
  "chat/template": { kind: "template", but: TEMPLATES },
  "model/from": { kind: "start" },
  "evaluation/model": { kind: "judged" },
  "evaluation/tasks": { kind: "task" },
};

/** Settings that never name a place to read from. */
const NO_GROUPS = /^(request|logging|sampling|training|architecture|lora)\//;
const NONE = new Set(["job", "model/config", "tokens/output", "import/output", "export/output"]);

export const isPlace = (path: string): boolean => !NONE.has(path) && !NO_GROUPS.test(path);

function valuesAt(config: Config, path: string): string[] {
  const value = config.at(path);
  if (path !== "data/mixture") return KINDS[path] === undefined ? strings(value) : texts(value);
  return (value as { path: string }[]).map((each) => each.path);
}

export function namedPlaces(config: Config): NamedPlace[] {
  const out: NamedPlace[] = [];
  for (const path of config.schema.fields.keys()) {
    if (!isPlace(path)) continue;
    const { kind, but } = KINDS[path] ?? { kind: "other" };
    for (const value of valuesAt(config, path)) {
      if (value === "" || but?.has(value) === true) continue;
      const known = value.startsWith("hf:") || (value.includes("/") && existsSync(value));
      if (kind === "other" && !known) continue;
      out.push({ key: path.replaceAll("/", "."), value, kind });
    }
  }
  return out;
}
