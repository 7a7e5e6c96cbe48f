/** @file Filters over lists. `map`, `select` and the like, which take names of filters and tests, are in apply_filters.ts. */
import { bind, textOr, whole } from "./arguments.ts";
import { item } from "./attributes.ts";
import { binary, order } from "./operators.ts";
import { str } from "./print.ts";
import { failed } from "./template_error.ts";
import {
  equals,
  Generator,
  iterate,
  type Keywords,
  Tuple,
  truth,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

type Filter = (value: Value, positional: readonly Value[], named: Keywords) => Value;

/** A getter for "a.b.0". */
export function getter(path: Value, otherwise?: Value): (value: Value) => Value {
  const parts = str(path).split(".");
  const keys = parts.map((part): Value => (/^\d+$/.test(part) ? Number(part) : part));
  return (value) => {
    let found = value;
    for (const key of keys) {
      found = item(found, key);
      if (found instanceof Undefined && otherwise !== undefined) found = otherwise;
    }
    return found;
  };
}

const folded = (value: Value, caseSensitive: boolean): Value =>
  typeof value === "string" && !caseSensitive ? value.toLowerCase() : value;

interface SortRules {
  readonly attribute: Value | undefined;
  readonly caseSensitive: boolean;
}

function keyOf(rules: SortRules): (value: Value) => Value {
  const { attribute, caseSensitive } = rules;
  if (attribute === undefined || attribute === null) return (value) => folded(value, caseSensitive);
  const getters = str(attribute)
    .split(",")
    .map((path) => getter(path.trim()));
  return (value) => {
    const keys = getters.map((get) => folded(get(value), caseSensitive));
    const [only = null] = keys;
    return keys.length === 1 ? only : keys;
  };
}

function sorted(items: readonly Value[], reverse: boolean, key: (value: Value) => Value): Value[] {
  const keyed = items.map((value) => ({ value, key: key(value) }));
  keyed.sort((a, b) => (reverse ? order(b.key, a.key) : order(a.key, b.key)));
  return keyed.map(({ value }) => value);
}

const sort: Filter = (value, positional, named) => {
  const names = ["reverse", "case_sensitive", "attribute"];
  const [reverse = false, sensitive = false, attribute] = bind("sort", names, positional, named);
  const key = keyOf({ attribute, caseSensitive: truth(sensitive) });
  return sorted(iterate(value), truth(reverse), key);
};

const dictsort: Filter = (value, positional, named) => {
  const names = ["case_sensitive", "by", "reverse"];
  const [sensitive = false, by = "key", reverse = false] = bind(
    "dictsort",
    names,
    positional,
    named,
  );
  if (!(value instanceof Map)) throw failed(`dictsort expects a dict, got ${typeName(value)}`);
  const place = by === "value" ? 1 : 0;
  const pairs = [...value].map((pair) => new Tuple(pair));
  return sorted(pairs, truth(reverse), (pair) =>
    folded(pair instanceof Tuple ? (pair.items[place] ?? null) : pair, truth(sensitive)),
  );
};

const unique: Filter = (value, positional, named) => {
  const names = ["case_sensitive", "attribute"];
  const [sensitive = false, attribute] = bind("unique", names, positional, named);
  const key = keyOf({ attribute, caseSensitive: truth(sensitive) });
  const seen: Value[] = [];
  const kept = iterate(value).filter((member) => {
    const own = key(member);
    if (seen.some((other) => equals(other, own))) return false;
    seen.push(own);
    return true;
  });
  return new Generator(() => kept);
};

const extreme =
  (sign: 1 | -1): Filter =>
  (value, positional, named) => {
    const names = ["case_sensitive", "attribute"];
    const [sensitive = false, attribute] = bind("min/max", names, positional, named);
    const key = keyOf({ attribute, caseSensitive: truth(sensitive) });
    const [first, ...rest] = iterate(value);
    if (first === undefined) return new Undefined("No aggregated item, sequence was empty.");
    return rest.reduce(
      (best, other) => (sign * order(key(other), key(best)) > 0 ? other : best),
      first,
    );
  };

const join: Filter = (value, positional, named) => {
  const [by, attribute] = bind("join", ["d", "attribute"], positional, named);
  const items = iterate(value);
  const shown =
    attribute === undefined || attribute === null ? items : items.map(getter(attribute));
  return shown.map(str).join(textOr("join", by, ""));
};

const sum: Filter = (value, positional, named) => {
  const [attribute, start = 0] = bind("sum", ["attribute", "start"], positional, named);
  const items = iterate(value);
  const terms =
    attribute === undefined || attribute === null ? items : items.map(getter(attribute));
  return terms.reduce((total, term) => binary("+", total, term), start);
};

function chunks(items: readonly Value[], size: number, fill: Value | undefined): Value[] {
  const out: Value[] = [];
  for (let at = 0; at < items.length; at += size) {
    const chunk = items.slice(at, at + size);
    while (fill !== undefined && fill !== null && chunk.length < size) chunk.push(fill);
    out.push([...chunk]);
  }
  return out;
}

const batch: Filter = (value, positional, named) => {
  const [count, fill] = bind("batch", ["linecount", "fill_with"], positional, named);
  return new Generator(() => chunks(iterate(value), whole("batch", count), fill));
};

const pairs: Filter = (value) => {
  if (value instanceof Undefined) return new Generator(() => []);
  if (!(value instanceof Map)) throw failed("Can only get item pairs from a mapping.");
  return new Generator(() => [...value].map((pair) => new Tuple(pair)));
};

const first: Filter = (value) => {
  const [found] = iterate(value);
  return found === undefined ? new Undefined("No first item, sequence was empty.") : found;
};

const last: Filter = (value) => {
  if (value instanceof Generator) throw failed("'generator' object is not reversible");
  const found = iterate(value).at(-1);
  return found === undefined ? new Undefined("No last item, sequence was empty.") : found;
};

export const LIST_FILTERS: readonly [string, Filter][] = [
  ["list", (value) => [...iterate(value)]],
  ["first", first],
  ["last", last],
  ["items", pairs],
  ["join", join],
  ["sort", sort],
  ["dictsort", dictsort],
  ["unique", unique],
  ["min", extreme(-1)],
  ["max", extreme(1)],
  ["sum", sum],
  ["batch", batch],
];
