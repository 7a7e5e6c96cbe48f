/** @file Arguments of calls: by position or by name, checked against what the function takes. */
import { failed } from "./template_error.ts";
import { type Keywords, numberOf, typeName, Undefined, type Value } from "./values.ts";

export const NO_KEYWORDS: Keywords = new Map();

/** Values in the order of `names`; undefined where none was given. */
export function bind(
  what: string,
  names: readonly string[],
  positional: readonly Value[],
  named: Keywords = NO_KEYWORDS,
): (Value | undefined)[] {
  if (positional.length > names.length)
    throw failed(`${what} takes at most ${names.length} arguments, got ${positional.length}`);
  const bound: (Value | undefined)[] = names.map((_, i) => positional[i]);
  for (const [name, value] of named) {
    const at = names.indexOf(name);
    if (at < 0) throw failed(`${what} got an unexpected argument "${name}"`);
    if (at < positional.length) throw failed(`${what} got two values for "${name}"`);
    bound[at] = value;
  }
  return bound;
}

export function text(what: string, value: Value | undefined): string {
  if (typeof value === "string") return value;
  if (value instanceof Undefined) throw failed(value.what);
  throw failed(
    `${what} expects a string, got ${value === undefined ? "nothing" : typeName(value)}`,
  );
}

export function textOr(what: string, value: Value | undefined, otherwise: string): string {
  return value === undefined ? otherwise : text(what, value);
}

export function whole(what: string, value: Value | undefined, otherwise?: number): number {
  if (value === undefined && otherwise !== undefined) return otherwise;
  if (typeof value === "boolean") return Number(value);
  if (typeof value === "number" && Number.isInteger(value)) return value;
  if (value instanceof Undefined) throw failed(value.what);
  throw failed(
    `${what} expects an integer, got ${value === undefined ? "nothing" : typeName(value)}`,
  );
}

export function number(what: string, value: Value): number {
  const found = numberOf(value);
  if (found !== undefined) return found;
  if (value instanceof Undefined) throw failed(value.what);
  throw failed(`${what} expects a number, got ${typeName(value)}`);
}
