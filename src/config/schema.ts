/**
 * @file The kinds of value a field may hold: thin wrappers over valibot that know how to name themselves, so that one
 * text (`integer >= 1`) serves error messages and the comments of written YAML.
 */
import * as v from "valibot";
import { parseDuration, parseMemory } from "./amounts.ts";
import type { FieldSchema } from "./field.ts";
import { parseInterval } from "./interval.ts";

export interface IntRange {
  readonly min?: number;
  readonly max?: number;
}

/** `above` and `below` are exclusive bounds. */
export interface FloatRange extends IntRange {
  readonly above?: number;
  readonly below?: number;
}

function rangeText(range: FloatRange): string {
  const parts: string[] = [];
  if (range.min !== undefined) parts.push(`>= ${range.min}`);
  if (range.above !== undefined) parts.push(`> ${range.above}`);
  if (range.max !== undefined) parts.push(`<= ${range.max}`);
  if (range.below !== undefined) parts.push(`< ${range.below}`);
  return parts.length === 0 ? "" : ` ${parts.join(" and ")}`;
}

const inRange = (x: number, range: FloatRange): boolean =>
  x >= (range.min ?? -Infinity) &&
  x <= (range.max ?? Infinity) &&
  x > (range.above ?? -Infinity) &&
  x < (range.below ?? Infinity);

function named<T>(expected: string, accepts: (value: unknown) => boolean): FieldSchema<T> {
  return v.pipe(v.custom<T>(accepts), v.metadata({ expected }));
}

export const int = (range: IntRange = {}): FieldSchema<number> =>
  named(
    `integer${rangeText(range)}`,
    (x) => typeof x === "number" && Number.isSafeInteger(x) && inRange(x, range),
  );

export const float = (range: FloatRange = {}): FieldSchema<number> =>
  named(
    `number${rangeText(range)}`,
    (x) => typeof x === "number" && Number.isFinite(x) && inRange(x, range),
  );

export const bool = (): FieldSchema<boolean> =>
  named("true or false", (x) => typeof x === "boolean");

export const string = (): FieldSchema<string> =>
  named("non-empty string", (x) => typeof x === "string" && x !== "");

/** A text of a form that `expected` says in words. */
export const matching = (form: RegExp, expected: string): FieldSchema<string> =>
  named(expected, (x) => typeof x === "string" && form.test(x));

export const enumOf = <const T extends readonly string[]>(values: T): FieldSchema<T[number]> =>
  named(values.join(" | "), (x) => typeof x === "string" && values.includes(x));

/** A list; with `length` set, of exactly that many items. */
export function list<T>(item: FieldSchema<T>, length?: number): FieldSchema<readonly T[]> {
  const count = length === undefined ? "" : `${length} `;
  const accepts = (x: unknown): boolean =>
    Array.isArray(x) &&
    (length === undefined || x.length === length) &&
    x.every((each) => v.is(item, each));
  return named(`list of ${count}(${typeText(item)})`, accepts);
}

export const nullable = <T>(item: FieldSchema<T>): FieldSchema<T | null> =>
  named(`${typeText(item)} or null`, (x) => x === null || v.is(item, x));

/** One of `item` or the word itself. */
export const orWord = <T, const W extends string>(
  item: FieldSchema<T>,
  word: W,
): FieldSchema<T | W> => named(`${typeText(item)} or ${word}`, (x) => x === word || v.is(item, x));

/** A map with exactly these keys. */
export function record<const S extends Readonly<Record<string, FieldSchema<unknown>>>>(
  shape: S,
): FieldSchema<{ readonly [K in keyof S]: v.InferOutput<S[K]> }> {
  const keys = Object.keys(shape);
  const parts = Object.entries(shape).map(([key, item]) => `${key}: ${typeText(item)}`);
  const accepts = (x: unknown): boolean =>
    typeof x === "object" &&
    x !== null &&
    Object.keys(x).length === keys.length &&
    Object.entries(shape).every(
      ([key, item]) => Object.hasOwn(x, key) && v.is(item, (x as Record<string, unknown>)[key]),
    );
  return named(`{${parts.join(", ")}}`, accepts);
}

/** When something happens, counted from the start of a run; `parseInterval` takes it apart. */
export const moment = (): FieldSchema<number | string> =>
  named('steps, or a text like "10M tokens"', (x) => {
    const parsed = parseInterval(x);
    return parsed !== undefined && parsed.unit !== "minutes" && parsed.every > 0;
  });

/** How often something happens; `parseInterval` takes it apart. */
export const interval = (): FieldSchema<number | string> =>
  named(
    'steps, or a text like "10M tokens" or "15 minutes"',
    (x) => parseInterval(x) !== undefined,
  );

/** `parseMemory` reads it. */
export const memory = (): FieldSchema<string> =>
  named('memory like "64 GiB"', (x) => parseMemory(x) !== undefined);

/** `parseDuration` reads it. */
export const duration = (): FieldSchema<string> =>
  named('time like "12 hours" or "1-12:00:00"', (x) => parseDuration(x) !== undefined);

/** What a schema accepts, in words: `integer >= 1`. */
export function typeText(schema: FieldSchema<unknown>): string {
  const expected = v.getMetadata(schema as v.GenericSchema).expected;
  return typeof expected === "string" ? expected : schema.type;
}

export const accepts = (schema: FieldSchema<unknown>, value: unknown): boolean =>
  v.is(schema, value);
