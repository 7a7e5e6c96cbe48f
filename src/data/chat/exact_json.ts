/**
 * @file JSON without JavaScript's losses, where a template can see them: 1.0 stays a float, integers past 2^53 keep their
 * digits, and an object with keys like "10" keeps their order (it becomes a Map). Everything else is what JSON.parse gives.
 */
import { Float } from "./jinja/values.ts";

/** Only text that has such a number or such a key needs the slow way. */
const LOSSY = /"\d+"\s*:|\d\.0+(?!\d)|\d[eE][-+]?\d|\d{16}/;

export function parseExactJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  return LOSSY.test(text) ? new Reader(text).read() : value;
}

const STRING = /"(?:[^"\\]|\\.)*"/y;
const NUMBER = /-?\d+(\.\d+)?([eE][-+]?\d+)?/y;
const SPACE = /[ \t\n\r]*/y;

/** Reads text that JSON.parse has accepted. */
class Reader {
  private at = 0;
  constructor(private readonly text: string) {}

  read(): unknown {
    this.skip();
    const start = this.text[this.at];
    if (start === "{") return this.object();
    if (start === "[") return this.list();
    if (start === '"') return this.string();
    for (const [word, value] of WORDS) {
      if (!this.text.startsWith(word, this.at)) continue;
      this.at += word.length;
      return value;
    }
    return this.number();
  }

  private match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    this.at += found?.[0].length ?? 0;
    return found;
  }

  private skip(): void {
    this.match(SPACE);
  }

  private string(): string {
    return JSON.parse(this.match(STRING)?.[0] ?? '""');
  }

  private number(): number | bigint | Float {
    const [digits = "0", fraction, exponent] = this.match(NUMBER) ?? [];
    const value = Number(digits);
    if (fraction === undefined && exponent === undefined)
      return Number.isSafeInteger(value) ? value : BigInt(digits);
    return Number.isInteger(value) ? new Float(value) : value;
  }

  private list(): unknown[] {
    const items: unknown[] = [];
    this.members("]", () => items.push(this.read()));
    return items;
  }

  private object(): unknown {
    const entries = new Map<string, unknown>();
    this.members("}", () => {
      const key = this.string();
      this.skip();
      this.at += 1;
      entries.set(key, this.read());
    });
    const keepsOrder = [...entries.keys()].every((key) => !/^\d+$/.test(key));
    return keepsOrder ? Object.fromEntries(entries) : entries;
  }

  private members(end: string, member: () => void): void {
    for (;;) {
      this.at += 1;
      this.skip();
      if (this.text[this.at] === end) break;
      member();
      this.skip();
      if (this.text[this.at] === end) break;
    }
    this.at += 1;
  }
}

const WORDS: readonly (readonly [string, unknown])[] = [
  ["true", true],
  ["false", false],
  ["null", null],
];
