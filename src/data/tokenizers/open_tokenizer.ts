/**
 * @file openTokenizer: a tokenizer by the name that a configuration or a command gives it. `bytes`, an encoding of OpenAI's,
 * a tokenizer.json, a folder that holds one, or `hf:org/name`.
 */
import { bytesTokenizer } from "../bytes_tokenizer.ts";
import type { Tokenizer } from "../tokenizer.ts";
import { bytesOfChars } from "./byte_alphabet.ts";
import { ByteLevelTokenizer } from "./byte_level.ts";
import { hubTokenizer } from "./hub_tokenizer.ts";
import { ENCODING_NAMES, openaiTokenizer } from "./openai.ts";
import { aroundOf } from "./post_processor.ts";
import { Reference } from "./reference.ts";
import { textAsBytes } from "./text_bytes.ts";
import { TextLevelTokenizer } from "./text_level.ts";
import { TokenTable } from "./token_table.ts";
import { readTokenizerFolder, specialIdsOf, TOKENIZER_FILE } from "./tokenizer_folder.ts";
import { type BpeModel, isBpe, type TokenizerJson } from "./tokenizer_json.ts";

interface Source {
  readonly name: string;
  readonly path: string;
  readonly json: TokenizerJson;
  readonly config: Readonly<Record<string, unknown>>;
  readonly files: () => Readonly<Record<string, string>>;
}

const HUB = "hf:";

/** Opened once: a vocabulary takes a tenth of a second to read. */
const opened = new Map<string, Tokenizer>();

export async function openTokenizer(name: string): Promise<Tokenizer> {
  if (name === "bytes") return bytesTokenizer;
  const found = opened.get(name);
  if (found !== undefined) return found;
  const tokenizer = tokenizerOf(await sourceOf(name));
  if (ENCODING_NAMES.includes(name)) opened.set(name, tokenizer);
  return tokenizer;
}

async function sourceOf(name: string): Promise<Source> {
  if (ENCODING_NAMES.includes(name)) {
    const { json, config } = openaiTokenizer(name);
    const files = () => ({
      [TOKENIZER_FILE]: `${JSON.stringify(json, null, 1)}\n`,
      "tokenizer_config.json": `${JSON.stringify(config, null, 2)}\n`,
    });
    return { name, path: name, json, config, files };
  }
  const place = name.startsWith(HUB) ? await hubTokenizer(name.slice(HUB.length)) : name;
  const { path, json, config, files } = readTokenizerFolder(place);
  return { name, path, json, config, files: () => files };
}

/** Parts that decide which ids a text becomes. Key order in a file is no part of it; the order of merges is. */
function fingerprintOf(json: TokenizerJson, table: TokenTable | undefined): string {
  const { added_tokens, normalizer, pre_tokenizer, post_processor } = json;
  const hash = new Bun.CryptoHasher("sha256");
  const sorted = (_: string, value: unknown): unknown =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value;
  const { vocab, merges, ...model } = json.model;
  const rest = { added_tokens, normalizer, pre_tokenizer, post_processor, model };
  hash.update(JSON.stringify(rest, sorted));
  if (table === undefined) return hash.update(JSON.stringify({ vocab, merges })).digest("hex");
  hash.update(table.starts).update(table.bytes);
  for (const merge of merges as BpeModel["merges"])
    hash.update(`${typeof merge === "string" ? merge : merge.join(" ")}\n`);
  return hash.digest("hex");
}

function vocabSizeOf(json: TokenizerJson, ids: Iterable<number>): number {
  let largest = -1;
  for (const id of ids) largest = Math.max(largest, id);
  for (const { id } of json.added_tokens) largest = Math.max(largest, id);
  return largest + 1;
}

function tableOf(json: TokenizerJson, model: BpeModel): TokenTable {
  const tokens: [number, Uint8Array][] = [];
  for (const [text, id] of Object.entries(model.vocab))
    tokens.push([id, bytesOfChars(text) ?? textAsBytes(text)]);
  for (const { id, content } of json.added_tokens) tokens.push([id, textAsBytes(content)]);
  return TokenTable.of(tokens, vocabSizeOf(json, Object.values(model.vocab)));
}

function tokenizerOf(source: Source): Tokenizer {
  const { name, path, json, config, files } = source;
  const marks = new Set(json.added_tokens.filter((each) => each.special).map((each) => each.id));
  const around = aroundOf(json.post_processor);
  const byContent = new Map(json.added_tokens.map((each) => [each.content, each.id]));
  if (json.decoder?.type === "ByteLevel" && isBpe(json.model)) {
    const table = tableOf(json, json.model);
    const fingerprint = fingerprintOf(json, table);
    const find = (content: string) => byContent.get(content) ?? table.find(textAsBytes(content));
    const special = specialIdsOf(config, find);
    const options = { path, vocabSize: table.size, why: "not yet native" };
    const encoder = new Reference(json, options);
    const parts = { name, fingerprint, table, special, marks, around, encoder, files };
    return new ByteLevelTokenizer(parts);
  }
  const reference = new Reference(json, { path, vocabSize: 0, why: "no byte-level BPE" });
  const { library } = reference;
  const fingerprint = fingerprintOf(json, undefined);
  const special = specialIdsOf(config, (content) => library.token_to_id(content));
  const vocabSize = vocabSizeOf(json, library.get_vocab().values());
  const parts = { name, vocabSize, fingerprint, special, marks, around, reference, files };
  return new TextLevelTokenizer(parts);
}
