/**
 * @file A template as tokens, by the rules of Python's Jinja with trim_blocks and lstrip_blocks, as transformers sets it:
 * the first newline after a block is dropped, and so is the white space before a block on its line.
 */
import { stripPython } from "./python_text.ts";
import { TemplateError } from "./template_error.ts";

export type TokenType =
  | "text"
  | "output_begin"
  | "output_end"
  | "block_begin"
  | "block_end"
  | "name"
  | "string"
  | "integer"
  | "float"
  | "operator"
  | "end";

export interface Token {
  readonly type: TokenType;
  readonly text: string;
  readonly line: number;
}

const OPENING = /\{\{|\{%|\{#/g;
const RAW = /\{%[-+]?\s*raw\s*(-%\}\s*|%\})/y;
const END_RAW = /\{%([-+]?)\s*endraw\s*(\+%\}|-%\}\s*|%\}\n?)/g;
const COMMENT_END = /(\+#\}|-#\}\s*|#\}\n?)/g;
const OUTPUT_END = /-\}\}\s*|\}\}/y;
const BLOCK_END = /\+%\}|-%\}\s*|%\}\n?/y;
const SPACE = /\s+/y;
const FLOAT = /(?<!\.)(\d+_)*\d+((\.(\d+_)*\d+)?[eE][+-]?(\d+_)*\d+|\.(\d+_)*\d+)/y;
const INTEGER = /0[bB](_?[01])+|0[oO](_?[0-7])+|0[xX](_?[\da-fA-F])+|[1-9](_?\d)*|0(_?0)*/y;
const NAME = /[\p{L}\p{Nl}_][\p{L}\p{Nl}\p{Mn}\p{Mc}\p{Nd}\p{Pc}_]*/uy;
const STRING = /'[^'\\]*(?:\\[\s\S][^'\\]*)*'|"[^"\\]*(?:\\[\s\S][^"\\]*)*"/y;
const OPERATOR = /\*\*|\/\/|==|!=|<=|>=|[-+/*%~[\](){}<>=.:|,;]/y;
const CLOSING: Readonly<Record<string, string>> = { "{": "}", "(": ")", "[": "]" };

function matched(pattern: RegExp, source: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(source)?.[0];
}

const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  ...{ n: "\n", t: "\t", r: "\r", b: "\b", f: "\f", v: "\v", a: "\x07" },
  ...{ "\\": "\\", "'": "'", '"': '"', "\n": "" },
};

/** Python's escapes; a backslash before anything else stays. */
function unescaped(body: string): string {
  return body.replace(
    /\\(x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8}|[0-7]{1,3}|[\s\S])/g,
    (whole, code: string) => {
      if (/^[xuU]./.test(code)) return String.fromCodePoint(Number.parseInt(code.slice(1), 16));
      if (/^[0-7]/.test(code)) return String.fromCodePoint(Number.parseInt(code, 8));
      return SIMPLE_ESCAPES[code] ?? whole;
    },
  );
}

const newlines = (text: string): number => text.split("\n").length - 1;

class Lexer {
  readonly tokens: Token[] = [];
  private at = 0;
  private line = 1;
  /** Whether what came before ends a line: white space before a block is dropped only from the start of a line. */
  private lineStarts = true;

  constructor(private readonly source: string) {}

  run(): readonly Token[] {
    while (this.at < this.source.length) this.outside();
    this.push("end", "");
    return this.tokens;
  }

  private push(type: TokenType, text: string): void {
    this.tokens.push({ type, text, line: this.line });
  }

  private advance(consumed: string): void {
    this.at += consumed.length;
    this.line += newlines(consumed);
    this.lineStarts = consumed.endsWith("\n");
  }

  private fail(message: string): never {
    throw new TemplateError("syntax", message, this.line);
  }

  private outside(): void {
    OPENING.lastIndex = this.at;
    const found = OPENING.exec(this.source);
    if (found === null) {
      this.push("text", this.source.slice(this.at));
      this.advance(this.source.slice(this.at));
      return;
    }
    const text = this.source.slice(this.at, found.index);
    const sign = this.source[found.index + 2];
    const kept = this.keptBefore(text, sign, found[0] === "{{");
    if (kept !== "") this.push("text", kept);
    this.advance(text);
    const raw = found[0] === "{%" ? matched(RAW, this.source, this.at) : undefined;
    if (raw !== undefined) {
      this.advance(raw);
      this.raw();
      return;
    }
    const signed = sign === "-" || sign === "+";
    this.advance(this.source.slice(this.at, this.at + (signed ? 3 : 2)));
    if (found[0] === "{#") this.comment();
    else this.inside(found[0] === "{{");
  }

  private keptBefore(text: string, sign: string | undefined, output: boolean): string {
    if (sign === "-") return stripPython(text, "end");
    if (sign === "+" || output) return text;
    const lineAt = text.lastIndexOf("\n") + 1;
    const startsLine = lineAt > 0 || this.lineStarts;
    return startsLine && /^\s+$/.test(text.slice(lineAt)) ? text.slice(0, lineAt) : text;
  }

  private comment(): void {
    COMMENT_END.lastIndex = this.at;
    const end = COMMENT_END.exec(this.source);
    if (end === null) this.fail("a comment {# has no end #}");
    this.advance(this.source.slice(this.at, end.index + end[0].length));
  }

  private raw(): void {
    END_RAW.lastIndex = this.at;
    const end = END_RAW.exec(this.source);
    if (end === null) this.fail("{% raw %} has no {% endraw %}");
    const text = this.source.slice(this.at, end.index);
    const kept = this.keptBefore(text, end[1], false);
    if (kept !== "") this.push("text", kept);
    this.advance(text + end[0]);
  }

  private inside(output: boolean): void {
    this.push(output ? "output_begin" : "block_begin", "");
    const open: string[] = [];
    const beginLine = this.line;
    for (;;) {
      if (this.at >= this.source.length) {
        this.line = beginLine;
        this.fail(`${output ? "{{" : "{%"} is never closed`);
      }
      const space = matched(SPACE, this.source, this.at);
      if (space !== undefined) this.advance(space);
      const end =
        open.length === 0
          ? matched(output ? OUTPUT_END : BLOCK_END, this.source, this.at)
          : undefined;
      if (end !== undefined) {
        this.push(output ? "output_end" : "block_end", "");
        this.advance(end);
        return;
      }
      if (this.at < this.source.length) this.code(open);
    }
  }

  private code(open: string[]): void {
    const float = matched(FLOAT, this.source, this.at);
    const integer = float ?? matched(INTEGER, this.source, this.at);
    const name = integer ?? matched(NAME, this.source, this.at);
    const string = name ?? matched(STRING, this.source, this.at);
    const text = string ?? matched(OPERATOR, this.source, this.at);
    if (text === undefined) this.fail(`unexpected ${JSON.stringify(this.source[this.at])}`);
    if (float !== undefined) this.push("float", text.replaceAll("_", ""));
    else if (integer !== undefined) this.push("integer", text.replaceAll("_", ""));
    else if (name !== undefined) this.push("name", text);
    else if (string !== undefined) this.push("string", unescaped(text.slice(1, -1)));
    else {
      const closing = CLOSING[text];
      if (closing !== undefined) open.push(closing);
      else if (/^[})\]]$/.test(text)) {
        const expected = open.pop();
        if (expected !== text)
          this.fail(
            `unexpected "${text}"${expected === undefined ? "" : `, expected "${expected}"`}`,
          );
      }
      this.push("operator", text);
    }
    this.advance(text);
  }
}

export function tokensOf(template: string): readonly Token[] {
  const source = template.replace(/\r\n|\r/g, "\n");
  return new Lexer(source.endsWith("\n") ? source.slice(0, -1) : source).run();
}
