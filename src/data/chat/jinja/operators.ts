/** @file Operators of Python on template values. What fails there fails here; it never turns into a number or a text. */
import type { BinaryOperator, CompareOperator } from "./ast.ts";
import { str } from "./print.ts";
import { charactersOf, compareText, lengthOf } from "./python_text.ts";
import { percentFormat } from "./string_format.ts";
import { failed, unsupported } from "./template_error.ts";
import {
  equals,
  float,
  Generator,
  isFloat,
  iterate,
  numberOf,
  sequence,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

function operands(operator: string, a: Value, b: Value): never {
  for (const side of [a, b]) if (side instanceof Undefined) throw failed(side.what);
  throw failed(
    `unsupported operand type(s) for ${operator}: '${typeName(a)}' and '${typeName(b)}'`,
  );
}

function repeated(value: Value, times: Value): Value | undefined {
  const count = typeof times === "boolean" ? Number(times) : times;
  if (typeof count !== "number" || !Number.isInteger(count)) return undefined;
  if (typeof value === "string") return value.repeat(Math.max(0, count));
  const items = sequence(value);
  if (items === undefined) return undefined;
  const all = Array.from({ length: Math.max(0, count) }, () => items).flat();
  return Array.isArray(value) ? all : new Tuple(all);
}

function joined(a: Value, b: Value): Value | undefined {
  if (typeof a === "string" && typeof b === "string") return a + b;
  if (Array.isArray(a) && Array.isArray(b)) return [...a, ...b];
  if (a instanceof Tuple && b instanceof Tuple) return new Tuple([...a.items, ...b.items]);
  return undefined;
}

function divided(operator: "/" | "//" | "%", a: number, b: number): number {
  if (b === 0) throw failed("division by zero");
  if (operator === "/") return a / b;
  if (operator === "//") return Math.floor(a / b);
  const rest = a % b;
  return rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest;
}

function integer(value: number, operator: string): number {
  if (!Number.isSafeInteger(value))
    throw unsupported(`${operator} gives an integer past 2^53, which is not supported`);
  return value;
}

export function binary(operator: Exclude<BinaryOperator, "and" | "or">, a: Value, b: Value): Value {
  if (operator === "+") {
    const text = joined(a, b);
    if (text !== undefined) return text;
  }
  if (operator === "*") {
    const many = repeated(a, b) ?? repeated(b, a);
    if (many !== undefined) return many;
  }
  if (operator === "%" && typeof a === "string") return percentFormat(a, b);
  const [left, right] = [numberOf(a), numberOf(b)];
  if (left === undefined || right === undefined) return operands(operator, a, b);
  if (typeof a === "bigint" || typeof b === "bigint")
    throw unsupported("arithmetic with integers past 2^53 is not supported");
  const inFloats = isFloat(a) || isFloat(b) || operator === "/";
  const result = arithmetic(operator, left, right);
  const negativePower = operator === "**" && right < 0;
  return inFloats || negativePower ? float(result) : integer(result, operator);
}

function arithmetic(operator: Exclude<BinaryOperator, "and" | "or">, a: number, b: number): number {
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "**":
      return a ** b;
    default:
      return divided(operator, a, b);
  }
}

export function signed(sign: "+" | "-", value: Value): Value {
  const number = numberOf(value);
  if (value instanceof Undefined) throw failed(value.what);
  if (number === undefined)
    throw failed(`bad operand type for unary ${sign}: '${typeName(value)}'`);
  if (typeof value === "bigint") return sign === "-" ? -value : value;
  const result = sign === "-" ? -number : number;
  return isFloat(value) ? float(result) : result + 0;
}

/** Negative, zero or positive; fails for what Python does not order. */
export function order(a: Value, b: Value, operator = "<"): number {
  if (typeof a === "string" && typeof b === "string") return compareText(a, b);
  const [left, right] = [numberOf(a), numberOf(b)];
  if (left !== undefined && right !== undefined) return left - right;
  const [first, second] = [sequence(a), sequence(b)];
  if (first !== undefined && second !== undefined && Array.isArray(a) === Array.isArray(b)) {
    for (let i = 0; i < Math.min(first.length, second.length); i += 1) {
      const [x, y] = [first[i] ?? null, second[i] ?? null];
      if (!equals(x, y)) return order(x, y, operator);
    }
    return first.length - second.length;
  }
  for (const side of [a, b]) if (side instanceof Undefined) throw failed(side.what);
  throw failed(
    `'${operator}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`,
  );
}

export function contains(container: Value, item: Value): boolean {
  if (typeof container === "string") {
    if (typeof item === "string") return container.includes(item);
    if (item instanceof Undefined) throw failed(item.what);
    throw failed(`'in <string>' requires string as left operand, not ${typeName(item)}`);
  }
  if (container instanceof Map) return container.has(item);
  if (container instanceof Undefined) return false;
  if (sequence(container) === undefined && !(container instanceof Generator))
    throw failed(`argument of type '${typeName(container)}' is not iterable`);
  return iterate(container).some((member) => equals(member, item));
}

export function compare(operator: CompareOperator, a: Value, b: Value): boolean {
  switch (operator) {
    case "==":
      return equals(a, b);
    case "!=":
      return !equals(a, b);
    case "in":
      return contains(b, a);
    case "not in":
      return !contains(b, a);
    case "<":
      return order(a, b, operator) < 0;
    case "<=":
      return order(a, b, operator) <= 0;
    case ">":
      return order(a, b, operator) > 0;
    case ">=":
      return order(a, b, operator) >= 0;
  }
  return operator satisfies never;
}

/** len(). */
export function length(value: Value): number {
  if (typeof value === "string") return lengthOf(value);
  if (value instanceof Map) return value.size;
  if (value instanceof Undefined) return 0;
  const items = sequence(value);
  if (items === undefined) throw failed(`object of type '${typeName(value)}' has no len()`);
  return items.length;
}

export function concat(values: readonly Value[]): string {
  let text = "";
  for (const value of values) text += str(value);
  return text;
}

function bound(value: Value | undefined): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "boolean") return Number(value);
  if (typeof value === "number" && Number.isInteger(value)) return value;
  if (value instanceof Undefined) throw failed(value.what);
  throw failed("slice indices must be integers or None");
}

/** value[start:stop:step] of a string, list or tuple. */
export function slice(value: Value, bounds: readonly (Value | undefined)[]): Value {
  const [start, stop, step = 1] = bounds.map(bound);
  if (value instanceof Undefined) throw failed(value.what);
  if (typeof value === "string" && step === 1 && !/[\ud800-\udfff]/.test(value))
    return value.slice(start ?? 0, stop ?? value.length);
  const items = typeof value === "string" ? charactersOf(value) : sequence(value);
  if (items === undefined) throw failed(`'${typeName(value)}' object is not subscriptable`);
  if (step === 0) throw failed("slice step cannot be zero");
  const picked = stepped(items, start, stop, step);
  if (typeof value === "string") return picked.map(str).join("");
  return Array.isArray(value) ? picked : new Tuple(picked);
}

function stepped(
  items: readonly Value[],
  start: number | undefined,
  stop: number | undefined,
  step: number,
): Value[] {
  const { length: count } = items;
  const [low, high] = step > 0 ? [0, count] : [-1, count - 1];
  const clamp = (at: number | undefined, otherwise: number): number =>
    at === undefined ? otherwise : Math.min(high, Math.max(low, at < 0 ? at + count : at));
  const from = clamp(start, step > 0 ? low : high);
  const to = clamp(stop, step > 0 ? high : low);
  const picked: Value[] = [];
  for (let at = from; step > 0 ? at < to : at > to; at += step) {
    const item = items[at];
    if (item !== undefined) picked.push(item);
  }
  return picked;
}
