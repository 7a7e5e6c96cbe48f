/** @file `value.name`, `value[key]` and method calls, with Jinja's order of looking: an attribute first, or an item first. */
import { bind, whole } from "./arguments.ts";
import { characterAt } from "./python_text.ts";
import { type Method, OTHER_STRING_METHODS, STRING_METHODS } from "./string_methods.ts";
import { failed, unsupported } from "./template_error.ts";
import {
  Callable,
  type Dict,
  describedType,
  equals,
  isInteger,
  type Keywords,
  LoopState,
  Namespace,
  numberOf,
  sequence,
  Tuple,
  Undefined,
  type Value,
} from "./values.ts";

const DICT_METHODS: ReadonlyMap<string, Method<Dict>> = new Map<string, Method<Dict>>([
  ["keys", (self) => [...self.keys()]],
  ["values", (self) => [...self.values()]],
  ["items", (self) => [...self].map(([key, value]) => new Tuple([key, value]))],
  ["copy", (self) => new Map(self)],
  [
    "get",
    (self, positional, named) => {
      const [key = null, otherwise = null] = bind("get()", ["key", "default"], positional, named);
      return self.has(key) ? (self.get(key) ?? null) : otherwise;
    },
  ],
]);

const LIST_METHODS: ReadonlyMap<string, Method<readonly Value[]>> = new Map<
  string,
  Method<readonly Value[]>
>([
  ["copy", (self) => [...self]],
  ["count", (self, [wanted = null]) => self.filter((item) => equals(item, wanted)).length],
  [
    "index",
    (self, [wanted = null]) => {
      const at = self.findIndex((item) => equals(item, wanted));
      if (at < 0) throw failed("the value is not in the list");
      return at;
    },
  ],
]);

/** What the sandbox of transformers forbids, because it changes the conversation. */
const FORBIDDEN: ReadonlySet<string> = new Set([
  ...["append", "clear", "extend", "insert", "pop", "popitem", "remove", "reverse"],
  ...["setdefault", "sort", "update"],
]);

function method(value: Value, name: string): Method<never> | undefined {
  if (typeof value === "string") {
    if (OTHER_STRING_METHODS.has(name)) throw unsupported(`str.${name}() is not supported`);
    return STRING_METHODS.get(name);
  }
  const [table, kind] =
    value instanceof Map
      ? [DICT_METHODS, "dict"]
      : sequence(value) !== undefined
        ? [LIST_METHODS, "list"]
        : [undefined, ""];
  if (table === undefined) return undefined;
  const found = table.get(name);
  if (found === undefined && FORBIDDEN.has(name) && !(value instanceof Tuple))
    throw failed(`${kind}.${name}() changes the data and is forbidden in chat templates`);
  return found;
}

function callMethod(found: Method<never>, self: Value): Callable["call"] {
  const subject = self instanceof Tuple ? self.items : self;
  return (positional, named) => found(subject as never, positional, named);
}

const orMissing = (value: Value | undefined, what: string): Value =>
  value === undefined ? new Undefined(what) : value;

function loopAttribute(loop: LoopState, name: string): Value | undefined {
  const { index, items } = loop;
  switch (name) {
    case "index":
      return index + 1;
    case "index0":
      return index;
    case "revindex":
      return items.length - index;
    case "revindex0":
      return items.length - index - 1;
    case "first":
      return index === 0;
    case "last":
      return index === items.length - 1;
    case "length":
      return items.length;
    case "depth":
      return 1;
    case "depth0":
      return 0;
    case "previtem":
      return orMissing(items[index - 1], "there is no previous item");
    case "nextitem":
      return orMissing(items[index + 1], "there is no next item");
    case "cycle":
      return new Callable("cycle", (values) => values[index % values.length] ?? null);
    case "changed":
      return new Callable("changed", (values) => loop.changed(values));
  }
  return undefined;
}

const missing = (value: Value, name: string): Undefined =>
  new Undefined(`${describedType(value)} has no attribute '${name}'`);

const present = (found: Value | undefined, value: Value, name: string): Value =>
  found === undefined ? missing(value, name) : found;

/** `value.name` */
export function attribute(value: Value, name: string): Value {
  if (value instanceof Undefined) throw failed(value.what);
  if (value instanceof Namespace) return present(value.values.get(name), value, name);
  if (value instanceof LoopState) return present(loopAttribute(value, name), value, name);
  if (name.startsWith("__")) throw failed(`access to attribute '${name}' is unsafe`);
  // An item of a dict that has no such method is the common case.
  if (value instanceof Map && !DICT_METHODS.has(name) && !FORBIDDEN.has(name))
    return present(value.get(name), value, name);
  const found = method(value, name);
  return found === undefined ? missing(value, name) : new Callable(name, callMethod(found, value));
}

/** `value[key]` */
export function item(value: Value, key: Value): Value {
  if (value instanceof Undefined) throw failed(value.what);
  if (value instanceof Map) {
    const found = value.get(key);
    if (found !== undefined) return found;
  } else if (isInteger(key) || typeof key === "boolean") {
    const at = Number(key);
    const found = typeof value === "string" ? characterAt(value, at) : sequence(value)?.at(at);
    if (found !== undefined) return found;
  }
  if (typeof key === "string") {
    if (!(value instanceof Map)) return attribute(value, key);
    // Python falls back to attributes, which for a dict are its methods.
    const found = method(value, key);
    if (found !== undefined) return new Callable(key, callMethod(found, value));
    return missing(value, key);
  }
  if (key instanceof Undefined) return new Undefined(key.what);
  return new Undefined(`${describedType(value)} has no element ${String(numberOf(key) ?? key)}`);
}

/** A call of a method without making a bound function first; undefined: it is not a method of strings, dicts or lists. */
export function directMethod(value: Value, name: string): Callable["call"] | undefined {
  const kind = typeof value === "string" || value instanceof Map || sequence(value) !== undefined;
  if (!kind) return undefined;
  const found = method(value, name);
  return found === undefined ? undefined : callMethod(found, value);
}

export function call(callee: Value, positional: readonly Value[], named: Keywords): Value {
  if (callee instanceof Callable) return callee.call(positional, named);
  if (callee instanceof Undefined) throw failed(callee.what);
  throw failed(`${describedType(callee)} is not callable`);
}

/** range(): at most 100 000 numbers, as Python's sandbox has it. */
export function range(positional: readonly Value[]): Value {
  const [first, second, third] = bind("range()", ["start", "stop", "step"], positional);
  const step = whole("range()", third, 1);
  const [from, to] =
    second === undefined
      ? [0, whole("range()", first)]
      : [whole("range()", first), whole("range()", second)];
  if (step === 0) throw failed("range() arg 3 must not be zero");
  const count = Math.max(0, Math.ceil((to - from) / step));
  if (count > 100_000) throw failed("range() of more than 100000 numbers");
  return Array.from({ length: count }, (_, i) => from + i * step);
}
