/** @file Plain text: a document is its tokens, between a start and an end token where the configuration asks for them. */
import { ConfigError } from "../../util/errors.ts";
import type { Tokenizer, Tokens } from "../tokenizer.ts";
import { BadRecord, type Example, type Formatter, type Section } from "./formatter.ts";

const IDENTITY_LENGTH = 4096;

export interface TextSpec {
  readonly textField: string;
  /** `auto`, `none`, or the text of a token. */
  readonly startToken: string;
  readonly endToken: string;
}

/** The id of a token that the configuration names; undefined: none. `auto` is none where the tokenizer has none. */
export function namedToken(
  tokenizer: Tokenizer,
  name: string,
  auto: number | undefined,
  key: string,
): number | undefined {
  if (name === "none") return undefined;
  if (name === "auto") return auto;
  const id = tokenizer.idOf(name);
  if (id === undefined)
    throw new ConfigError(`the tokenizer ${tokenizer.name} has no token "${name}"`, {
      place: { key },
    });
  return id;
}

function withAround(ids: Tokens, before: number | undefined, after: number | undefined): Tokens {
  if (before === undefined && after === undefined) return ids;
  const first = before === undefined ? 0 : 1;
  const length = first + ids.length + (after === undefined ? 0 : 1);
  const Kind = ids.constructor as { new (length: number): Tokens };
  const out = new Kind(length);
  if (before !== undefined) out[0] = before;
  out.set(ids, first);
  if (after !== undefined) out[length - 1] = after;
  return out;
}

const isBlankText = (text: string | Uint8Array): boolean =>
  typeof text === "string"
    ? !/\S/.test(text)
    : !text.some((byte) => byte !== 32 && (byte < 9 || byte > 13));

export const shortIdentity = (text: string | Uint8Array): string | Uint8Array =>
  text.length <= IDENTITY_LENGTH
    ? text
    : typeof text === "string"
      ? `${text.slice(0, IDENTITY_LENGTH)}${text.length}`
      : text.subarray(0, IDENTITY_LENGTH);

export class TextFormatter implements Formatter {
  readonly kind = "stream";
  readonly masked = false;
  readonly template = null;
  readonly columns: readonly string[];
  readonly field: string;
  readonly before: number | undefined;
  readonly after: number | undefined;
  private readonly tokenizer: Tokenizer;

  constructor(tokenizer: Tokenizer, spec: TextSpec) {
    const { bos, eos } = tokenizer.special;
    this.tokenizer = tokenizer;
    this.field = spec.textField;
    this.columns = [spec.textField];
    this.before = namedToken(tokenizer, spec.startToken, bos, "tokens.start_token");
    this.after = namedToken(tokenizer, spec.endToken, eos, "tokens.end_token");
  }

  format(record: Readonly<Record<string, unknown>>, section: Section): readonly Example[] {
    const text = this.text(record);
    if (!section.continued && !section.unfinished && isBlankText(text))
      throw new BadRecord("an empty document: expected text");
    const ids = withAround(
      this.tokenizer.encode(text),
      section.continued ? undefined : this.before,
      section.unfinished ? undefined : this.after,
    );
    const textBytes = typeof text === "string" ? Buffer.byteLength(text) : text.length;
    return [{ ids, mask: null, textBytes }];
  }

  identity(record: Readonly<Record<string, unknown>>): string | Uint8Array {
    return shortIdentity(this.text(record));
  }

  private text(record: Readonly<Record<string, unknown>>): string | Uint8Array {
    const text = record[this.field];
    if (typeof text === "string" || text instanceof Uint8Array) return text;
    const has = Object.keys(record).join(", ") || "none";
    if (text === undefined)
      throw new BadRecord(
        `there is no field "${this.field}": expected text there; the fields are ${has}`,
      );
    throw new BadRecord(
      `the field "${this.field}" is ${text === null ? "null" : `a ${typeof text}`}: expected text`,
    );
  }
}
