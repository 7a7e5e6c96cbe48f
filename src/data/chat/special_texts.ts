/**
 * @file The texts of a tokenizer's special tokens. In a rendered conversation such a text is a token where the template
 * wrote it, and only text where a message did: nobody can end a turn, or begin one, from inside a message.
 */
import type { Tokenizer } from "../tokenizer.ts";

const found = new WeakMap<Tokenizer, SpecialTexts>();

export interface Stretch {
  readonly start: number;
  readonly end: number;
}

export class SpecialTexts {
  /** Longest first, by their first character. */
  private readonly byFirst = new Map<string, string[]>();
  private readonly first: RegExp | undefined;
  private readonly parts: { readonly starts: Set<string>; readonly ends: Set<string> };

  constructor(readonly texts: readonly string[]) {
    for (const text of [...texts].sort((a, b) => b.length - a.length)) {
      const key = text.charAt(0);
      this.byFirst.set(key, [...(this.byFirst.get(key) ?? []), text]);
    }
    const starts = new Set<string>();
    const ends = new Set<string>();
    for (const text of texts)
      for (let cut = 1; cut < text.length; cut += 1) {
        starts.add(text.slice(0, cut));
        ends.add(text.slice(cut));
      }
    this.parts = { starts, ends };
    const escaped = [...this.byFirst.keys()].map((each) => each.replace(/[\\\]^-]/g, "\\$&"));
    this.first = escaped.length === 0 ? undefined : new RegExp(`[${escaped.join("")}]`, "g");
  }

  static of(tokenizer: Tokenizer): SpecialTexts {
    let special = found.get(tokenizer);
    if (special === undefined) {
      const added = tokenizer.definition?.added_tokens ?? [];
      special = new SpecialTexts(
        added.filter((token) => token.special).map((token) => token.content),
      );
      found.set(tokenizer, special);
    }
    return special;
  }

  /** Where special texts stand, from the left, the longest at each place. */
  *find(text: string): Generator<Stretch & { readonly text: string }> {
    if (this.first === undefined) return;
    for (let at = 0; at < text.length; ) {
      this.first.lastIndex = at;
      const next = this.first.exec(text);
      if (next === null) return;
      const { index } = next;
      const token = this.byFirst.get(next[0])?.find((each) => text.startsWith(each, index));
      if (token === undefined) {
        at = index + 1;
        continue;
      }
      at = index + token.length;
      yield { start: index, end: at, text: token };
    }
  }

  /**
   * What of a message could become part of a special text: one that it holds, and at its edges the beginning or the end of
   * one, which what the template writes next to it could complete.
   */
  risks(text: string): Stretch[] {
    const risks: Stretch[] = [...this.find(text)].map(({ start, end }) => ({ start, end }));
    if (this.first === undefined) return risks;
    const inner = text.trim();
    const from = text.indexOf(inner);
    const longest = this.texts.reduce((most, token) => Math.max(most, token.length), 0);
    for (let size = Math.min(longest - 1, inner.length); size > 0; size -= 1) {
      if (this.parts.ends.has(inner.slice(0, size))) {
        risks.push({ start: from, end: from + size });
        break;
      }
    }
    for (let size = Math.min(longest - 1, inner.length); size > 0; size -= 1) {
      if (this.parts.starts.has(inner.slice(-size))) {
        risks.push({ start: from + inner.length - size, end: from + inner.length });
        break;
      }
    }
    return risks;
  }
}
