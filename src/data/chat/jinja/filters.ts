/** @file `value|filter`: the filters of Python's Jinja, with tojson as transformers replaces it. */

import { bind, number, text, textOr, whole } from "./arguments.ts";
import { item } from "./attributes.ts";
import { LIST_FILTERS } from "./list_filters.ts";
import { length } from "./operators.ts";
import { json, str } from "./print.ts";
import { charactersOf, stripPython } from "./python_text.ts";
import { percentFormat, rounded } from "./string_format.ts";
import { capitalized, centered, linesOf, STRING_METHODS } from "./string_methods.ts";
import { failed, unsupported } from "./template_error.ts";
import {
  float,
  Generator,
  isFloat,
  type Keywords,
  numberOf,
  sequence,
  Tuple,
  truth,
  Undefined,
  type Value,
} from "./values.ts";

export type Filter = (value: Value, positional: readonly Value[], named: Keywords) => Value;

const textFilter =
  (run: (text: string) => Value): Filter =>
  (value, positional, named) => {
    bind("a filter", [], positional, named);
    return run(str(value));
  };

const tojson: Filter = (value, positional, named) => {
  const names = ["ensure_ascii", "indent", "separators", "sort_keys"];
  const [ascii = false, indent = null, separators = null, sort = false] = bind(
    "tojson",
    names,
    positional,
    named,
  );
  const pair = sequence(separators)?.map(str);
  if (separators !== null && pair?.length !== 2) throw failed("separators must be two strings");
  const pad =
    indent === null
      ? undefined
      : typeof indent === "string"
        ? indent
        : " ".repeat(Math.max(0, whole("indent", indent)));
  return json(value, {
    indent: pad,
    itemSeparator: pair?.[0] ?? (pad === undefined ? ", " : ","),
    keySeparator: pair?.[1] ?? ": ",
    sortKeys: truth(sort),
    asciiOnly: truth(ascii),
  });
};

const byDefault: Filter = (value, positional, named) => {
  const names = ["default_value", "boolean"];
  const [otherwise = "", boolean = false] = bind("default", names, positional, named);
  return value instanceof Undefined || (truth(boolean) && !truth(value)) ? otherwise : value;
};

const indent: Filter = (value, positional, named) => {
  const names = ["width", "first", "blank"];
  const [width = 4, first = false, blank = false] = bind("indent", names, positional, named);
  const pad = typeof width === "string" ? width : " ".repeat(whole("indent", width));
  const [head = "", ...rest] = linesOf(
    `${str(value)}
`,
    false,
  );
  const tail = rest.map((line) => `\n${line !== "" || truth(blank) ? pad : ""}${line}`);
  return (truth(first) ? pad : "") + head + tail.join("");
};

function toInteger(value: Value, base: number): number | undefined {
  if (typeof value === "string") {
    const trimmed = stripPython(value, "both").replaceAll("_", "");
    if (base === 10 && /^[-+]?\d+$/.test(trimmed)) return Number(trimmed);
    if (base !== 10) throw unsupported("the filter int with a base");
    return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(trimmed)
      ? Math.trunc(Number(trimmed))
      : undefined;
  }
  const found = numberOf(value);
  return found === undefined || !Number.isFinite(found) ? undefined : Math.trunc(found);
}

const toInt: Filter = (value, positional, named) => {
  const [otherwise = 0, base] = bind("int", ["default", "base"], positional, named);
  if (value instanceof Undefined) throw failed(value.what);
  return toInteger(value, whole("int", base, 10)) ?? otherwise;
};

const toFloat: Filter = (value, positional, named) => {
  const [otherwise = float(0)] = bind("float", ["default"], positional, named);
  if (value instanceof Undefined) throw failed(value.what);
  const found =
    typeof value === "string" && stripPython(value, "both") !== ""
      ? Number(value)
      : numberOf(value);
  return found === undefined || Number.isNaN(found) ? otherwise : float(found);
};

const round: Filter = (value, positional, named) => {
  const [precision, method = "common"] = bind("round", ["precision", "method"], positional, named);
  const digits = whole("round", precision, 0);
  const exact = number("round", value);
  if (method === "common") {
    const result = rounded(exact, digits);
    return isFloat(value) ? result : (numberOf(result) ?? null);
  }
  const scaled = exact * 10 ** digits;
  if (method !== "ceil" && method !== "floor") throw failed(`round has no method "${str(method)}"`);
  return float((method === "ceil" ? Math.ceil(scaled) : Math.floor(scaled)) / 10 ** digits);
};

const reverse: Filter = (value) => {
  if (typeof value === "string") return charactersOf(value).reverse().join("");
  const items = value instanceof Map ? [...value.keys()] : sequence(value);
  if (items === undefined) throw failed("argument must be iterable");
  return new Generator(() => [...items].reverse());
};

const truncate: Filter = (value, positional, named) => {
  const names = ["length", "killwords", "end", "leeway"];
  const [size, kill = false, end, leeway] = bind("truncate", names, positional, named);
  const [most, tail] = [whole("truncate", size, 255), textOr("truncate", end, "...")];
  const points = charactersOf(str(value));
  if (points.length <= most + whole("truncate", leeway, 5)) return points.join("");
  const cut = points.slice(0, most - charactersOf(tail).length).join("");
  if (truth(kill)) return cut + tail;
  const space = cut.lastIndexOf(" ");
  return (space < 0 ? cut : cut.slice(0, space)) + tail;
};

const titled = (value: string): string =>
  value
    .split(/([-\s({[<]+)/)
    .map((part) => capitalized(part))
    .join("");

const viaMethod =
  (name: string): Filter =>
  (value, positional, named) => {
    const found = STRING_METHODS.get(name);
    if (found === undefined) throw failed(`no method ${name}`);
    return found(str(value), positional, named);
  };

const magnitude: Filter = (value) => {
  const size = Math.abs(number("abs", value));
  return isFloat(value) ? float(size) : size;
};

const table: [string, Filter][] = [
  ["tojson", tojson],
  ["default", byDefault],
  ["d", byDefault],
  ["length", (value) => length(value)],
  ["count", (value) => length(value)],
  ["string", (value) => str(value)],
  ["upper", textFilter((value) => value.toUpperCase())],
  ["lower", textFilter((value) => value.toLowerCase())],
  ["capitalize", textFilter(capitalized)],
  ["title", textFilter(titled)],
  ["trim", viaMethod("strip")],
  ["replace", viaMethod("replace")],
  ["indent", indent],
  ["int", toInt],
  ["float", toFloat],
  ["round", round],
  ["abs", magnitude],
  ["reverse", reverse],
  ["truncate", truncate],
  ["wordcount", textFilter((value) => value.match(/[\p{L}\p{N}_]+/gu)?.length ?? 0)],
  ["center", (value, positional) => centered(str(value), whole("center", positional[0], 80))],
  [
    "format",
    (value, positional, named) => {
      if (named.size > 0) throw unsupported("the filter format with names");
      return percentFormat(str(value), new Tuple(positional));
    },
  ],
  [
    "attr",
    (value, positional) => {
      const name = text("attr", positional[0]);
      const found = value instanceof Map ? undefined : item(value, name);
      return found ?? new Undefined(`the value has no attribute '${name}'`);
    },
  ],
];

export const FILTERS: ReadonlyMap<string, Filter> = new Map([...table, ...LIST_FILTERS]);

/** Filters of Python's Jinja that are not built here: named in the error, never passed over. */
export const OTHER_FILTERS: ReadonlySet<string> = new Set([
  ...["e", "escape", "filesizeformat", "forceescape", "groupby", "pprint", "random", "safe"],
  ...["striptags", "urlencode", "urlize", "wordwrap", "xmlattr"],
]);
