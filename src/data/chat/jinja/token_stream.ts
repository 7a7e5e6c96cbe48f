/** @file The tokens of a template with one token of sight, and the parser's errors. */
import { assert } from "../../../util/errors.ts";
import type { Token, TokenType } from "./lexer.ts";
import { TemplateError } from "./template_error.ts";

const NAMES: Readonly<Record<TokenType, string>> = {
  ...{ text: "text", output_begin: "{{", output_end: "}}", block_begin: "{%", block_end: "%}" },
  ...{ name: "a name", string: "a string", integer: "a number", float: "a number" },
  ...{ operator: "an operator", end: "the end of the template" },
};

export class TokenStream {
  private at = 0;

  constructor(private readonly tokens: readonly Token[]) {}

  get current(): Token {
    const token = this.tokens[Math.min(this.at, this.tokens.length - 1)];
    assert(token !== undefined, "a template has no end token");
    return token;
  }

  get ahead(): Token {
    return this.tokens[this.at + 1] ?? this.current;
  }

  next(): Token {
    const token = this.current;
    this.at += 1;
    return token;
  }

  is(type: TokenType, ...texts: readonly string[]): boolean {
    const { current } = this;
    return current.type === type && (texts.length === 0 || texts.includes(current.text));
  }

  isOperator(...texts: readonly string[]): boolean {
    return this.is("operator", ...texts);
  }

  skip(type: TokenType, text: string): boolean {
    if (!this.is(type, text)) return false;
    this.at += 1;
    return true;
  }

  expect(type: TokenType, text?: string): Token {
    const { current } = this;
    if (current.type !== type || (text !== undefined && current.text !== text))
      this.fail(`expected ${text === undefined ? NAMES[type] : `"${text}"`}, got ${this.shown()}`);
    return this.next();
  }

  shown(): string {
    const { type, text } = this.current;
    return text === "" ? NAMES[type] : JSON.stringify(text);
  }

  fail(message: string, line = this.current.line): never {
    throw new TemplateError("syntax", message, line);
  }

  unsupported(message: string): never {
    throw new TemplateError("unsupported", message, this.current.line);
  }
}
