/**
 * @file openTokenizer: a tokenizer by the name that a configuration or a command gives it. `bytes`, an encoding of OpenAI's,
 * a tokenizer.json, a folder that holds one, or `hf:org/name`.
 */
import { log } from "../../util/log.ts";
import { bytesTokenizer } from "../bytes_tokenizer.ts";
import type { Tokenizer } from "../tokenizer.ts";
import { ByteLevelTokenizer } from "./byte_level.ts";
import { fingerprintOfJson, fingerprintOfNative } from "./fingerprint.ts";
import { hubTokenizer } from "./hub_tokenizer.ts";
import { nativeEncoder, nativeOf } from "./native.ts";
import { ENCODING_CONFIG, ENCODING_NAMES, openEncoding } from "./openai.ts";
import { aroundOf } from "./post_processor.ts";
import { Reference } from "./reference.ts";
import { TextLevelTokenizer } from "./text_level.ts";
import { readTokenizerFolder, specialIdsOf, TOKENIZER_FILE } from "./tokenizer_folder.ts";
import {
  type AddedToken,
  type BpeModel,
  definitionOf,
  isBpe,
  type TokenizerJson,
} from "./tokenizer_json.ts";
import { ofModel, sizeOf } from "./vocabulary.ts";

const HUB = "hf:";

/** A tokenizer that names its place in memory: opened once. Files may change, encodings do not. */
const encodings = new Map<string, Tokenizer>();

export async function openTokenizer(name: string): Promise<Tokenizer> {
  if (name === "bytes") return bytesTokenizer;
  if (!ENCODING_NAMES.includes(name)) return fromFiles(name);
  const found = encodings.get(name) ?? encodingNamed(name);
  encodings.set(name, found);
  return found;
}

const marksOf = (added: readonly AddedToken[]): ReadonlySet<number> =>
  new Set(added.filter((each) => each.special).map((each) => each.id));

function encodingNamed(name: string): Tokenizer {
  const { vocabulary, table, parts, json } = openEncoding(name);
  const opened = nativeOf(vocabulary, parts);
  if (typeof opened === "string") throw new Error(`internal: ${name}: ${opened}`);
  const { encoder } = opened;
  const added = parts.added_tokens;
  const merges = encoder.native.merges();
  const around = aroundOf(null);
  let text: string | undefined;
  return new ByteLevelTokenizer({
    ...{ name, table, around, encoder, definition: definitionOf(parts) },
    fingerprint: fingerprintOfNative(vocabulary, merges, { added, compose: false, around }),
    special: specialIdsOf(ENCODING_CONFIG, idOfAdded(added)),
    marks: marksOf(added),
    json: () => {
      text ??= `${JSON.stringify(json(merges), null, 1)}\n`;
      return text;
    },
    beside: { "tokenizer_config.json": `${JSON.stringify(ENCODING_CONFIG, null, 2)}\n` },
  });
}

const idOfAdded =
  (added: readonly AddedToken[]) =>
  (content: string): number | undefined =>
    added.find((each) => each.content === content)?.id;

interface Source {
  readonly name: string;
  readonly path: string;
  readonly json: TokenizerJson;
  readonly config: Readonly<Record<string, unknown>>;
  readonly files: Readonly<Record<string, string>>;
}

async function fromFiles(name: string): Promise<Tokenizer> {
  const place = name.startsWith(HUB) ? await hubTokenizer(name.slice(HUB.length)) : name;
  const source = { name, ...readTokenizerFolder(place) };
  const { json } = source;
  return json.decoder?.type === "ByteLevel" && isBpe(json.model)
    ? byteLevel(source, json.model)
    : textLevel(source);
}

function byteLevel(source: Source, model: BpeModel): Tokenizer {
  const { name, path, json, config } = source;
  const { [TOKENIZER_FILE]: text = "", ...beside } = source.files;
  const added = json.added_tokens;
  const { table, kinds, conflict } = ofModel(model, added);
  const native =
    conflict === undefined
      ? nativeEncoder(json, model, table, kinds)
      : `added token ${conflict.content} has the id of another token`;
  if (typeof native === "string")
    log.warn(`${name} is encoded by the slow reference (about 1 MB/s): ${native}`);
  const encoder =
    typeof native !== "string"
      ? native.encoder
      : new Reference(json, { path, vocabSize: table.size, why: native });
  const around = aroundOf(json.post_processor);
  const find = idOfAdded(added);
  return new ByteLevelTokenizer({
    ...{ name, table, around, encoder, marks: marksOf(added) },
    ...{ definition: definitionOf(json), json: () => text, beside },
    fingerprint:
      typeof native !== "string"
        ? fingerprintOfNative(native.vocabulary, native.encoder.native.merges(), {
            ...{ added, around, compose: native.encoder.composes },
          })
        : fingerprintOfJson(json),
    special: specialIdsOf(config, (content) => find(content) ?? model.vocab[content]),
  });
}

function textLevel(source: Source): Tokenizer {
  const { name, path, json, config, files } = source;
  const reference = new Reference(json, { path, vocabSize: 1 << 20, why: "no byte-level BPE" });
  const { library } = reference;
  return new TextLevelTokenizer({
    ...{ name, reference, definition: definitionOf(json), files: () => files },
    marks: marksOf(json.added_tokens),
    vocabSize: sizeOf(library.get_vocab().values(), json.added_tokens),
    fingerprint: fingerprintOfJson(json),
    special: specialIdsOf(config, (content) => library.token_to_id(content)),
    around: aroundOf(json.post_processor),
  });
}
