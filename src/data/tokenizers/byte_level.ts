/** @file A tokenizer whose tokens are bytes (GPT-2, Llama 3, Qwen, OpenAI's encodings): nothing that it encodes is lost. */
import type { EncodeOptions, SpecialIds, Tokenizer, Tokens } from "../tokenizer.ts";
import { type Encoder, tokensOf } from "./encoder.ts";
import type { Around } from "./post_processor.ts";
import { bytesAsText, shownBytes, textAsBytes } from "./text_bytes.ts";
import type { TokenTable } from "./token_table.ts";
import { TOKENIZER_FILE } from "./tokenizer_folder.ts";
import type { TokenizerDefinition } from "./tokenizer_json.ts";

export interface ByteLevelParts {
  readonly name: string;
  readonly fingerprint: string;
  /** Of model and added tokens. */
  readonly table: TokenTable;
  readonly special: SpecialIds;
  /** Ids whose text is a mark and no text: left out by `skipSpecial`, 0 bytes. */
  readonly marks: ReadonlySet<number>;
  readonly around: Around;
  readonly encoder: Encoder;
  readonly definition: TokenizerDefinition;
  /** Text of its tokenizer.json; null for one that another thread opened. */
  readonly json: (() => string) | null;
  /** Files that stand beside it. */
  readonly beside: Readonly<Record<string, string>>;
}

export class ByteLevelTokenizer implements Tokenizer {
  readonly name: string;
  readonly vocabSize: number;
  readonly fingerprint: string;
  readonly special: SpecialIds;
  readonly encoder: Encoder;
  readonly definition: TokenizerDefinition;
  readonly beside: Readonly<Record<string, string>>;
  readonly table: TokenTable;
  readonly marks: ReadonlySet<number>;
  readonly around: Around;
  /** Bytes of text of each id; made when it is first asked for. */
  private lengths: Uint32Array | undefined;
  private readonly json: (() => string) | null;

  constructor(parts: ByteLevelParts) {
    this.name = parts.name;
    this.fingerprint = parts.fingerprint;
    this.table = parts.table;
    this.vocabSize = parts.table.size;
    this.special = parts.special;
    this.marks = parts.marks;
    this.around = parts.around;
    this.encoder = parts.encoder;
    this.definition = parts.definition;
    this.beside = parts.beside;
    this.json = parts.json;
  }

  idOf(token: string): number | undefined {
    return this.table.find(textAsBytes(token));
  }

  encode(text: string | Uint8Array, options: EncodeOptions = {}): Tokens {
    const ids = this.encoder.encode(text, options.parseSpecial === true);
    const { before, after } = this.around;
    if (options.addSpecial !== true || before.length + after.length === 0) return ids;
    return tokensOf([...before, ...ids, ...after], this.vocabSize);
  }

  decode(ids: Iterable<number>, options: { readonly skipSpecial?: boolean } = {}): string {
    const skip = options.skipSpecial === true;
    const parts: Uint8Array[] = [];
    for (const id of ids) if (!skip || !this.marks.has(id)) parts.push(this.table.bytesOf(id));
    return bytesAsText(Buffer.concat(parts));
  }

  show(id: number): string {
    return shownBytes(this.table.bytesOf(id));
  }

  stream(): { push(id: number): string; end(): string } {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    return {
      push: (id) => decoder.decode(this.table.bytesOf(id), { stream: true }),
      end: () => decoder.decode(),
    };
  }

  files(): Readonly<Record<string, string>> {
    const { json, beside } = this;
    return json === null ? beside : { [TOKENIZER_FILE]: json(), ...beside };
  }

  byteCount(ids: Tokens): number {
    this.lengths ??= this.textLengths();
    let bytes = 0;
    for (const id of ids) bytes += this.lengths[id] ?? 0;
    return bytes;
  }

  private textLengths(): Uint32Array {
    const lengths = new Uint32Array(this.vocabSize);
    for (let id = 0; id < lengths.length; id++) lengths[id] = this.table.lengthOf(id);
    for (const id of this.marks) lengths[id] = 0;
    return lengths;
  }
}
