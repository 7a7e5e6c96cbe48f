/**
 * @file Any tokenizer.json through `@huggingface/tokenizers`, written in JavaScript by Hugging Face: the general path, about
 * 1 MB/s. The library always recognises special tokens, so text in which they are only text goes through a second instance that has none.
 */
import { Tokenizer as Library } from "@huggingface/tokenizers";
import { DataError } from "../../util/errors.ts";
import type { Tokens } from "../tokenizer.ts";
import { type Encoder, tokensOf } from "./encoder.ts";
import { bytesAsText } from "./text_bytes.ts";
import type { TokenizerJson } from "./tokenizer_json.ts";

/** What the library reads from tokenizer_config.json changes what a text becomes in Python only through other classes: none of it. */
const CONFIG = { clean_up_tokenization_spaces: false };

function open(json: TokenizerJson, path: string): Library {
  try {
    return new Library(json, CONFIG);
  } catch (error) {
    throw new DataError(
      `${path}: this tokenizer is not supported: ${error instanceof Error ? error.message : error}`,
      { place: { path } },
    );
  }
}

export class Reference implements Encoder {
  readonly kind: string;
  private readonly vocabSize: number;
  private readonly json: TokenizerJson;
  private readonly path: string;
  private opened: Library | undefined;
  private plain: Library | undefined;

  constructor(json: TokenizerJson, options: { path: string; vocabSize: number; why: string }) {
    this.json = json;
    this.path = options.path;
    this.vocabSize = options.vocabSize;
    this.kind = `reference: ${options.why}`;
  }

  /** Opened when it is first needed: that takes a good part of a second. */
  get library(): Library {
    this.opened ??= open(this.json, this.path);
    return this.opened;
  }

  encode(text: string | Uint8Array, parseSpecial: boolean): Tokens {
    const library = parseSpecial ? this.library : this.withoutSpecial();
    const string = typeof text === "string" ? text : bytesAsText(text);
    if (string === "") return tokensOf([], this.vocabSize);
    return tokensOf(library.encode(string, { add_special_tokens: false }).ids, this.vocabSize);
  }

  private withoutSpecial(): Library {
    if (this.plain !== undefined) return this.plain;
    const added = this.json.added_tokens.filter((token) => !token.special);
    const all = added.length === this.json.added_tokens.length;
    this.plain = all ? this.library : open({ ...this.json, added_tokens: added }, this.path);
    return this.plain;
  }
}
