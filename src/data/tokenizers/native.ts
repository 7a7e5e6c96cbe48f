/**
 * @file Byte-level BPE through the native encoder, for every vocabulary that it can do exactly; what stands in the way of the others
 * is said, and they go through the reference.
 */
import { isAscii } from "node:buffer";
import { availableParallelism } from "node:os";
import { type BpeVocabulary, NativeError, NativeTokenizer } from "../../runtime/index.ts";
import type { Tokens } from "../tokenizer.ts";
import type { Encoder } from "./encoder.ts";
import { composedParts, composedText, MAY_COMPOSE } from "./normalize.ts";
import { wordPatternOf } from "./patterns.ts";
import { exactText } from "./text_bytes.ts";
import type { TokenTable } from "./token_table.ts";
import {
  type AddedToken,
  type BpeModel,
  isComponent,
  type TokenizerDefinition,
  type TokenizerJson,
} from "./tokenizer_json.ts";

function matcherOf(added: readonly AddedToken[]): RegExp {
  if (added.length === 0) return /(?!)/g;
  const longestFirst = added.map(({ content }) => content).toSorted((a, b) => b.length - a.length);
  return new RegExp(longestFirst.map((each) => RegExp.escape(each)).join("|"), "gu");
}

/** What may have to be composed: nothing of ASCII, and bytes where they are no text. */
function textToCompose(text: string | Uint8Array): string | Uint8Array {
  if (typeof text === "string") return text;
  return isAscii(text) ? "" : (exactText(text) ?? text);
}

export class Native implements Encoder {
  readonly kind = "native";
  readonly native: NativeTokenizer;
  readonly composes: boolean;
  private readonly matcher: RegExp;
  private readonly specials: ReadonlySet<string>;
  private readonly vocabSize: number;

  constructor(
    native: NativeTokenizer,
    vocabSize: number,
    json: Pick<TokenizerJson, "added_tokens" | "normalizer">,
  ) {
    const { added_tokens: added } = json;
    this.native = native;
    this.vocabSize = vocabSize;
    this.matcher = matcherOf(added);
    this.specials = new Set(added.filter((each) => each.special).map(({ content }) => content));
    this.composes = composes(json);
  }

  encode(text: string | Uint8Array, parseSpecial: boolean): Tokens {
    const ids = this.composes
      ? this.encodeComposed(text, parseSpecial)
      : this.ids(text, parseSpecial);
    return this.vocabSize <= 1 << 8 ? Uint8Array.from(ids) : ids;
  }

  private ids(text: string | Uint8Array, parseSpecial: boolean): Uint16Array | Uint32Array {
    return this.native.encode(text, parseSpecial ? "all" : "plain", availableParallelism());
  }

  private encodeComposed(text: string | Uint8Array, parseSpecial: boolean): Tokens {
    const raw = textToCompose(text);
    if (typeof raw !== "string") return this.ids(composedParts(raw), parseSpecial);
    if (!MAY_COMPOSE.test(raw)) return this.ids(text, parseSpecial);
    // Added tokens are found in the text as it came, and only what stands between them is composed.
    let joined = "";
    let from = 0;
    for (const match of raw.matchAll(this.matcher)) {
      const [content] = match;
      if (this.specials.has(content) && !parseSpecial) continue;
      joined += composedText(raw.slice(from, match.index)) + content;
      from = match.index + content.length;
    }
    return this.ids(joined + composedText(raw.slice(from)), parseSpecial);
  }
}

const isNothing = (value: unknown): boolean =>
  value === undefined || value === null || value === false || value === "";

/** Undefined: nothing is normalized, or only composed. */
function normalizerProblem(component: TokenizerJson["normalizer"]): string | undefined {
  if (component === null || component.type === "NFC") return undefined;
  const parts = component.type === "Sequence" ? component.normalizers : undefined;
  if (Array.isArray(parts) && parts.every((part) => isComponent(part) && part.type === "NFC"))
    return undefined;
  return `a normalizer of type ${component.type}`;
}

const composes = ({ normalizer }: Pick<TokenizerJson, "normalizer">): boolean =>
  normalizer !== null &&
  (normalizer.type === "NFC" ||
    (Array.isArray(normalizer.normalizers) && normalizer.normalizers.length > 0));

/** Matches of two lists that are looked for one after the other do not meet when no token of one begins inside one of the other. */
function canOverlap(a: readonly AddedToken[], b: readonly AddedToken[]): boolean {
  const firsts = (tokens: readonly AddedToken[]) =>
    new Set(tokens.map(({ content }) => content[0]));
  const meets = (starts: ReadonlySet<string | undefined>, tokens: readonly AddedToken[]): boolean =>
    tokens.some(({ content }) => Array.from(content).some((char) => starts.has(char)));
  return meets(firsts(a), b) || meets(firsts(b), a);
}

function addedProblem(json: TokenizerJson): string | undefined {
  const { added_tokens: added } = json;
  const odd = added.find((each) => each.single_word || each.lstrip || each.rstrip);
  if (odd !== undefined) return `added token ${odd.content} takes the space around it`;
  const normalized = added.filter((each) => each.normalized);
  const others = added.filter((each) => !each.normalized);
  // The Kelvin sign becomes a K, and so on: a token could come into being where there was none.
  if (composes(json) && added.some(({ content }) => /[^\u0020-\u007e]|[K;`]/.test(content)))
    return "added tokens that composing may make";
  if (normalized.length > 0 && composes(json)) return "added tokens that are normalized";
  if (normalized.length > 0 && others.length > 0 && canOverlap(normalized, others))
    return "added tokens of which some are normalized";
  return undefined;
}

/** Why this tokenizer cannot be encoded natively; undefined: it can, unless its merges are odd. */
function problemOf(json: TokenizerJson, model: BpeModel): string | undefined {
  for (const key of ["dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"])
    if (!isNothing(model[key])) return `a model with ${key}`;
  return normalizerProblem(json.normalizer) ?? addedProblem(json);
}

/** Left and right token of each merge; a string when they are not all there. */
function mergesOf(model: BpeModel): Uint32Array | string {
  const { vocab, merges } = model;
  const pairs = new Uint32Array(2 * merges.length);
  let at = 0;
  for (const merge of merges) {
    const space = typeof merge === "string" ? merge.indexOf(" ") : 0;
    const left = typeof merge === "string" ? merge.slice(0, space) : merge[0];
    const right = typeof merge === "string" ? merge.slice(space + 1) : merge[1];
    const [a, b] = [vocab[left], vocab[right]];
    if (a === undefined || b === undefined) return `merge ${at / 2} of tokens that are not there`;
    pairs[at++] = a;
    pairs[at++] = b;
  }
  return pairs;
}

export interface OpenedNative {
  readonly encoder: Native;
  readonly vocabulary: BpeVocabulary;
}

/** The native encoder, or why there is none for this tokenizer. */
export function nativeEncoder(
  json: TokenizerJson,
  model: BpeModel,
  table: TokenTable,
  kinds: Uint8Array,
): OpenedNative | string {
  const pattern = wordPatternOf(json.pre_tokenizer);
  if (pattern === undefined) return "a pre-tokenizer that is not among the known patterns";
  const problem = problemOf(json, model);
  if (problem !== undefined) return problem;
  const merges = mergesOf(model);
  if (typeof merges === "string") return merges;
  const added = json.added_tokens.flatMap(({ id, special }) => [id, special ? 1 : 0]);
  return nativeOf(
    {
      pattern,
      wholeWords: model.ignore_merges === true,
      merges,
      added: Uint32Array.from(added),
      kinds,
      starts: table.starts,
      bytes: table.bytes,
    },
    json,
  );
}

export function nativeOf(
  vocabulary: BpeVocabulary,
  json: TokenizerDefinition,
): OpenedNative | string {
  try {
    const native = NativeTokenizer.open(vocabulary);
    return { encoder: new Native(native, vocabulary.kinds.length, json), vocabulary };
  } catch (error) {
    if (error instanceof NativeError && error.status === "unsupported") return error.message;
    throw error;
  }
}
