/**
 * @file Values inside a template, with the distinctions of Python that JavaScript lacks: an integer is a number without
 * fraction (or a bigint past 2^53), a float any other number or a `Float`; a dict is a Map, a tuple a `Tuple`.
 */
import { failed } from "./template_error.ts";

/** A float whose value is a whole number: 2.0, which Python prints with its ".0". */
export class Float {
  constructor(readonly value: number) {}
}

export class Tuple {
  constructor(readonly items: readonly Value[]) {}
}

/** What Python gives as a generator (`map`, `select` ...): always true, without length, read once, and only then made. */
export class Generator {
  private make: () => readonly Value[];
  constructor(make: () => readonly Value[]) {
    this.make = make;
  }
  take(): readonly Value[] {
    const { make } = this;
    this.make = () => [];
    return make();
  }
}

export class Namespace {
  readonly values = new Map<string, Value>();
}

/** A name or key that is not there: prints as nothing and is false; anything else done with it fails with `what`. */
export class Undefined {
  constructor(readonly what: string) {}
}

export type Keywords = ReadonlyMap<string, Value>;

export class Callable {
  constructor(
    readonly name: string,
    readonly call: (positional: readonly Value[], named: Keywords) => Value,
  ) {}
}

/** `loop` inside a for. */
export class LoopState {
  index = 0;
  private lastSeen: readonly Value[] | undefined;
  constructor(readonly items: readonly Value[]) {}

  /** Whether the values differ from those of the last call. */
  changed(values: readonly Value[]): boolean {
    const before = this.lastSeen;
    this.lastSeen = values;
    return before === undefined || !equals([...before], [...values]);
  }
}

export type Dict = Map<Value, Value>;
export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Float
  | Value[]
  | Tuple
  | Dict
  | Generator
  | Namespace
  | Undefined
  | Callable
  | LoopState;

/** The result of arithmetic that Python does in floats. */
export const float = (value: number): Value => (Number.isInteger(value) ? new Float(value) : value);

export const isFloat = (value: Value): boolean =>
  value instanceof Float || (typeof value === "number" && !Number.isInteger(value));

export const isInteger = (value: Value): value is number | bigint =>
  typeof value === "bigint" || (typeof value === "number" && Number.isInteger(value));

/** The number behind a value, booleans being 0 and 1 as in Python. */
export function numberOf(value: Value): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value === "boolean") return value ? 1 : 0;
  if (value instanceof Float) return value.value;
  if (typeof value === "bigint") return Number(value);
  return undefined;
}

export function typeName(value: Value): string {
  if (value === null) return "None";
  if (typeof value === "string") return "str";
  if (typeof value === "boolean") return "bool";
  if (isFloat(value)) return "float";
  if (isInteger(value)) return "int";
  if (Array.isArray(value)) return "list";
  if (value instanceof Tuple) return "tuple";
  if (value instanceof Map) return "dict";
  if (value instanceof Generator) return "generator";
  if (value instanceof Namespace) return "Namespace";
  if (value instanceof Undefined) return "Undefined";
  if (value instanceof LoopState) return "LoopContext";
  return "function";
}

/** As Jinja names the kind of value in its errors. */
export const describedType = (value: Value): string =>
  value === null ? "None" : `'${typeName(value)} object'`;

export function truth(value: Value): boolean {
  if (typeof value === "boolean") return value;
  if (typeof value === "string") return value !== "";
  if (value === null || value instanceof Undefined) return false;
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  if (value instanceof Tuple) return value.items.length > 0;
  const number = numberOf(value);
  return number === undefined || number !== 0;
}

/** Lists and tuples as one thing. */
export function sequence(value: Value): readonly Value[] | undefined {
  if (Array.isArray(value)) return value;
  return value instanceof Tuple ? value.items : undefined;
}

function mapsEqual(a: Dict, b: Dict): boolean {
  if (a.size !== b.size) return false;
  for (const [key, value] of a) {
    const other = b.get(key);
    if (other === undefined || !equals(value, other)) return false;
  }
  return true;
}

export function equals(a: Value, b: Value): boolean {
  if (a === b) return true;
  if (typeof a === "string" || typeof b === "string") return false;
  if (typeof a === "bigint" && typeof b === "bigint") return a === b;
  const [left, right] = [numberOf(a), numberOf(b)];
  if (left !== undefined || right !== undefined) return left === right;
  if (a instanceof Undefined) return b instanceof Undefined;
  if (a instanceof Map) return b instanceof Map && mapsEqual(a, b);
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [first, second] = [sequence(a), sequence(b)];
  if (first === undefined || second === undefined || first.length !== second.length) return false;
  return first.every((item, i) => {
    const other = second[i];
    return other !== undefined && equals(item, other);
  });
}

/** The elements that a `for` sees. */
export function iterate(value: Value): readonly Value[] {
  const items = sequence(value);
  if (items !== undefined) return items;
  if (typeof value === "string") return [...value];
  if (value instanceof Map) return [...value.keys()];
  if (value instanceof Generator) return value.take();
  if (value instanceof Undefined) return [];
  throw failed(`'${typeName(value)}' object is not iterable`);
}

/** Data from JSON as values; `undefined` members are left out. */
export function toValue(data: unknown): Value {
  if (data === null || data === undefined) return null;
  if (typeof data === "string" || typeof data === "boolean" || typeof data === "number")
    return data;
  if (typeof data === "bigint" || data instanceof Float) return data;
  if (Array.isArray(data)) return data.map(toValue);
  const dict: Dict = new Map();
  const entries = data instanceof Map ? data.entries() : Object.entries(data);
  for (const [key, member] of entries) if (member !== undefined) dict.set(key, toValue(member));
  return dict;
}
