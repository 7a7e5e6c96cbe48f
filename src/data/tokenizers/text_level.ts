/**
 * @file A tokenizer whose tokens are text (WordPiece, Unigram, SentencePiece's BPE): the reference library both encodes and decodes.
 * What a token shows depends on its neighbours, so a stream decodes again from the last point where nothing was held back.
 */
import type { EncodeOptions, SpecialIds, Tokenizer, Tokens } from "../tokenizer.ts";
import { type Encoder, tokensOf } from "./encoder.ts";
import type { Around } from "./post_processor.ts";
import type { Reference } from "./reference.ts";
import { shownBytes, textAsBytes } from "./text_bytes.ts";
import type { TokenizerDefinition } from "./tokenizer_json.ts";

export interface TextLevelParts {
  readonly name: string;
  readonly vocabSize: number;
  readonly fingerprint: string;
  readonly special: SpecialIds;
  readonly marks: ReadonlySet<number>;
  readonly around: Around;
  readonly reference: Reference;
  readonly definition: TokenizerDefinition;
  readonly files: () => Readonly<Record<string, string>>;
}

/** More ids than any character or merge of spaces needs: beyond them a stream gives out even broken text. */
const HELD_MAX = 16;

export class TextLevelTokenizer implements Tokenizer {
  readonly name: string;
  readonly vocabSize: number;
  readonly fingerprint: string;
  readonly special: SpecialIds;
  readonly definition: TokenizerDefinition;
  readonly files: () => Readonly<Record<string, string>>;
  private readonly marks: ReadonlySet<number>;
  private readonly around: Around;
  private readonly reference: Reference;

  constructor(parts: TextLevelParts) {
    this.name = parts.name;
    this.vocabSize = parts.vocabSize;
    this.fingerprint = parts.fingerprint;
    this.special = parts.special;
    this.marks = parts.marks;
    this.around = parts.around;
    this.reference = parts.reference;
    this.definition = parts.definition;
    this.files = parts.files;
  }

  get encoder(): Encoder {
    return this.reference;
  }

  idOf(token: string): number | undefined {
    return this.reference.library.token_to_id(token);
  }

  encode(text: string | Uint8Array, options: EncodeOptions = {}): Tokens {
    const ids = this.reference.encode(text, options.parseSpecial === true);
    const { before, after } = this.around;
    if (options.addSpecial !== true || before.length + after.length === 0) return ids;
    return tokensOf([...before, ...ids, ...after], this.vocabSize);
  }

  decode(ids: Iterable<number>, options: { readonly skipSpecial?: boolean } = {}): string {
    const skip = options.skipSpecial === true;
    const list = Array.from(ids).filter((id) => !skip || !this.marks.has(id));
    return list.length === 0 ? "" : this.reference.library.decode(list);
  }

  show(id: number): string {
    return shownBytes(textAsBytes(this.reference.library.id_to_token(id) ?? ""));
  }

  stream(): { push(id: number): string; end(): string } {
    // `shown` ids are given out; the ids before them that are kept give the decoder its context.
    let kept: number[] = [];
    let shown = 0;
    const rest = (): string => {
      const text = this.decode(kept).slice(this.decode(kept.slice(0, shown)).length);
      kept = kept.slice(shown);
      shown = kept.length;
      return text;
    };
    return {
      push: (id) => {
        kept.push(id);
        const unfinished = this.decode(kept).endsWith("\ufffd");
        return unfinished && kept.length - shown < HELD_MAX ? "" : rest();
      },
      end: () => (kept.length > shown ? rest() : ""),
    };
  }

  byteCount(ids: Tokens): number {
    return textAsBytes(this.decode(ids, { skipSpecial: true })).length;
  }
}
