/** @file Conversations as rows with a loss mask, or as pairs of a chosen and a rejected answer. */
import { Float } from "../chat/jinja/values.ts";
import type { ChatFormat } from "../chat/read_conversation.ts";
import type { Tokenizer } from "../tokenizer.ts";
import { BadRecord, type Example, type Formatter, type Section } from "./formatter.ts";
import { shortIdentity } from "./text_formatter.ts";

export const OVERLONG = ["error", "drop", "truncate", "split"] as const;
export type Overlong = (typeof OVERLONG)[number];

export interface ChatSpec {
  /** As templateFor takes it. */
  readonly template: string;
  /** Null: found out from the record's keys. */
  readonly format: ChatFormat | null;
  /** Own names of fields by the usual ones; without: all are usual. */
  readonly fields?: Readonly<Record<string, string>>;
  /** Of conversations that have none. */
  readonly system: string | null;
  /** What templates take for today. */
  readonly date: string | null;
  /** Longest row, in tokens; null: any. */
  readonly maxTokens: number | null;
  readonly overlong: Overlong;
}

/** A rendered conversation. */
export interface Rendered {
  readonly ids: Example["ids"];
  readonly mask: Uint8Array;
}

/** Reads a record and renders what is in it: one conversation, or the chosen and the rejected one. Throws a BadRecord. */
export type Render = (record: Readonly<Record<string, unknown>>) => readonly Rendered[];

type Count = (what: string, by?: number) => void;

const utf8 = new TextDecoder();
const PLAIN = Object.getPrototypeOf({});

/** As JSON.parse would have it, so that how exactly numbers are read changes no side of a split. */
const asParsed = (_: string, value: unknown): unknown => {
  if (typeof value === "bigint") return Number(value);
  if (value instanceof Float) return value.value;
  return value instanceof Map ? Object.fromEntries(value) : value;
};

/** Texts of parquet arrive as bytes. What JSON has written otherwise than JavaScript would (exact_json.ts) stays as it is. */
function textual(value: unknown): unknown {
  if (value instanceof Uint8Array) return utf8.decode(value);
  if (Array.isArray(value)) return value.map(textual);
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== PLAIN)
    return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, textual(each)]));
}

export class ChatFormatter implements Formatter {
  readonly masked = true;
  readonly columns = null;
  readonly kind: "rows" | "pairs";
  readonly template: Formatter["template"];
  private readonly tokenizer: Tokenizer;
  private readonly render: Render;
  private readonly spec: ChatSpec;

  constructor(
    kind: "rows" | "pairs",
    tokenizer: Tokenizer,
    template: NonNullable<Formatter["template"]>,
    render: Render,
    spec: ChatSpec,
  ) {
    this.kind = kind;
    this.tokenizer = tokenizer;
    this.template = template;
    this.render = render;
    this.spec = spec;
  }

  format(
    record: Readonly<Record<string, unknown>>,
    _section: Section,
    count: Count,
  ): readonly Example[] {
    const rendered = this.render(textual(record) as Record<string, unknown>);
    const fitted = this.kind === "rows" ? this.rows(rendered, count) : this.pair(rendered, count);
    return fitted.map(({ ids, mask }) => ({ ids, mask, textBytes: this.tokenizer.byteCount(ids) }));
  }

  identity(record: Readonly<Record<string, unknown>>): string | Uint8Array {
    return shortIdentity(JSON.stringify(textual(record), asParsed));
  }

  private rows(rendered: readonly Rendered[], count: Count): readonly Rendered[] {
    return rendered.flatMap((row) =>
      this.fits(row) ? [trainable(row)] : this.shortened(row, this.spec.maxTokens ?? 0, count),
    );
  }

  private shortened(row: Rendered, most: number, count: Count): readonly Rendered[] {
    count("overlong");
    switch (this.spec.overlong) {
      case "error":
        throw this.tooLong(row);
      case "drop":
        count("dropped");
        return [];
      case "truncate":
        count("truncated");
        count("truncated_tokens", row.ids.length - most);
        return [trainable(part(row, 0, most), `after truncation to ${most} tokens`)];
      case "split":
        return this.split(row, most, count);
    }
  }

  private split(row: Rendered, most: number, count: Count): readonly Rendered[] {
    trainable(row);
    const rows: Rendered[] = [];
    for (let at = 0; at < row.ids.length; at += most) {
      const window = part(row, at, Math.min(row.ids.length, at + most));
      // A window that only asks has nothing to learn from.
      if (window.mask.includes(1)) rows.push(window);
      else count("untrained_windows");
    }
    count("split");
    return rows;
  }

  /** Both or neither: what is left of a pair would be no comparison. */
  private pair(rendered: readonly Rendered[], count: Count): readonly Rendered[] {
    const long = rendered.find((row) => !this.fits(row));
    if (long === undefined) return rendered.map((row) => trainable(row));
    count("overlong");
    if (this.spec.overlong === "drop") {
      count("dropped");
      return [];
    }
    if (this.spec.overlong !== "truncate") throw this.tooLong(long);
    const most = this.spec.maxTokens ?? 0;
    count("truncated");
    return rendered.map((row) =>
      trainable(part(row, 0, Math.min(most, row.ids.length)), `after truncation to ${most} tokens`),
    );
  }

  private fits({ ids }: Rendered): boolean {
    return this.spec.maxTokens === null || ids.length <= this.spec.maxTokens;
  }

  private tooLong({ ids }: Rendered): BadRecord {
    return new BadRecord(
      `a row of ${ids.length} tokens: expected at most ${this.spec.maxTokens} (rows.max_tokens; rows.overlong says what to do)`,
    );
  }
}

const part = ({ ids, mask }: Rendered, from: number, to: number): Rendered => ({
  ids: ids.subarray(from, to),
  mask: mask.subarray(from, to),
});

function trainable(row: Rendered, what = "no assistant's turn is trained"): Rendered {
  if (row.mask.includes(1)) return row;
  throw new BadRecord(`expected a token to train on, got none (${what})`);
}
