/**
 * @file The parts of Hugging Face's tokenizer.json that we read ourselves. Everything else in it is passed on as it is.
 */
import { DataError } from "../../util/errors.ts";

/** A component such as a normalizer: its type and whatever that type has. */
export interface Component {
  readonly type: string;
  readonly [key: string]: unknown;
}

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly single_word: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  readonly normalized: boolean;
  readonly special: boolean;
}

export interface BpeModel extends Component {
  readonly type: "BPE";
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges: readonly (string | readonly [string, string])[];
}

export interface TokenizerJson {
  readonly version?: string;
  readonly truncation?: unknown;
  readonly padding?: unknown;
  readonly added_tokens: readonly AddedToken[];
  readonly normalizer: Component | null;
  readonly pre_tokenizer: Component | null;
  readonly post_processor: Component | null;
  readonly decoder: Component | null;
  readonly model: Component;
}

/** Small beside the vocabulary, which is in the model. */
export type TokenizerDefinition = Pick<
  TokenizerJson,
  "added_tokens" | "normalizer" | "pre_tokenizer" | "post_processor" | "decoder"
>;

export function definitionOf(json: TokenizerDefinition): TokenizerDefinition {
  const { added_tokens, normalizer, pre_tokenizer, post_processor, decoder } = json;
  return { added_tokens, normalizer, pre_tokenizer, post_processor, decoder };
}

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const isComponent = (value: unknown): value is Component =>
  isObject(value) && typeof value.type === "string";

function addedToken(value: unknown, path: string): AddedToken {
  if (
    !isObject(value) ||
    typeof value.id !== "number" ||
    !Number.isInteger(value.id) ||
    value.id < 0 ||
    typeof value.content !== "string" ||
    value.content === ""
  )
    throw new DataError(`${path}: added_tokens: an entry has no id or no content`, {
      place: { path },
    });
  const flag = (name: string, otherwise: boolean): boolean =>
    typeof value[name] === "boolean" ? value[name] : otherwise;
  const special = flag("special", false);
  return {
    id: value.id,
    content: value.content,
    single_word: flag("single_word", false),
    lstrip: flag("lstrip", false),
    rstrip: flag("rstrip", false),
    normalized: flag("normalized", !special),
    special,
  };
}

/** Older files leave the model's type out; its keys tell. */
function modelOf(value: unknown, path: string): Component {
  if (isComponent(value)) return value;
  if (isObject(value) && "merges" in value) return { ...value, type: "BPE" };
  throw new DataError(`${path}: no "model" with a type`, {
    hint: "expected a tokenizer.json of the Hugging Face tokenizers library",
    place: { path },
  });
}

export function parseTokenizerJson(text: string, path: string): TokenizerJson {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new DataError(`${path} is not JSON: ${error instanceof Error ? error.message : error}`, {
      place: { path },
    });
  }
  if (!isObject(value)) throw new DataError(`${path}: expected a JSON object`, { place: { path } });
  const component = (key: string): Component | null => {
    const part = value[key];
    if (part === undefined || part === null) return null;
    if (isComponent(part)) return part;
    throw new DataError(`${path}: "${key}" has no type`, { place: { path, key } });
  };
  const added = value.added_tokens ?? [];
  if (!Array.isArray(added))
    throw new DataError(`${path}: "added_tokens" is not a list`, { place: { path } });
  return {
    ...value,
    added_tokens: added.map((each) => addedToken(each, path)),
    normalizer: component("normalizer"),
    pre_tokenizer: component("pre_tokenizer"),
    post_processor: component("post_processor"),
    decoder: component("decoder"),
    model: modelOf(value.model, path),
  };
}

export function isBpe(model: Component): model is BpeModel {
  return model.type === "BPE" && isObject(model.vocab) && Array.isArray(model.merges);
}
