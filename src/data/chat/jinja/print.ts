/** @file Values as text: str() and repr() of Python, and json.dumps as transformers gives it to templates. */
import { floatText, jsonText, quotedText } from "./python_text.ts";
import { failed, unsupported } from "./template_error.ts";
import {
  type Dict,
  Float,
  isFloat,
  Namespace,
  numberOf,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** What `{{ value }}` writes. */
export function str(value: Value): string {
  if (typeof value === "string") return value;
  if (value instanceof Undefined) return "";
  return repr(value);
}

function number(value: Value): string | undefined {
  if (isFloat(value)) return floatText(numberOf(value) ?? 0);
  if (typeof value === "number" || typeof value === "bigint") {
    if (typeof value === "number" && !Number.isSafeInteger(value))
      throw unsupported(`the integer ${value} is past 2^53 and may have lost digits`);
    return Object.is(value, -0) ? "0" : value.toString();
  }
  return undefined;
}

export function repr(value: Value): string {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value === "string") return quotedText(value);
  const digits = number(value);
  if (digits !== undefined) return digits;
  if (Array.isArray(value)) return `[${value.map(repr).join(", ")}]`;
  if (value instanceof Tuple) {
    const items = value.items.map(repr).join(", ");
    return value.items.length === 1 ? `(${items},)` : `(${items})`;
  }
  if (value instanceof Map)
    return `{${[...value].map(([key, item]) => `${repr(key)}: ${repr(item)}`).join(", ")}}`;
  if (value instanceof Namespace) return `<Namespace ${repr(new Map<Value, Value>(value.values))}>`;
  if (value instanceof Undefined) return "Undefined";
  throw unsupported(`a ${typeName(value)} is printed with its address in Python`);
}

export interface JsonStyle {
  readonly indent: string | undefined;
  readonly itemSeparator: string;
  readonly keySeparator: string;
  readonly sortKeys: boolean;
  readonly asciiOnly: boolean;
}

function jsonScalar(value: Value, asciiOnly: boolean): string | undefined {
  if (value === null) return "null";
  if (typeof value === "boolean") return value ? "true" : "false";
  if (typeof value === "string") return jsonText(value, asciiOnly);
  const raw = value instanceof Float ? value.value : value;
  if (typeof raw === "number" && !Number.isFinite(raw))
    return Number.isNaN(raw) ? "NaN" : raw > 0 ? "Infinity" : "-Infinity";
  return number(value);
}

function jsonKey(key: Value, asciiOnly: boolean): string {
  if (typeof key === "string") return jsonText(key, asciiOnly);
  const text = jsonScalar(key, asciiOnly);
  if (text === undefined) throw failed(`keys of JSON must be strings, not ${typeName(key)}`);
  return `"${text}"`;
}

function jsonParts(value: Value, style: JsonStyle, inner: string): readonly string[] | undefined {
  if (value instanceof Map) {
    return jsonEntries(value, style).map(
      ([key, item]) => `${key}${style.keySeparator}${json(item, style, inner)}`,
    );
  }
  const items = Array.isArray(value) ? value : value instanceof Tuple ? value.items : undefined;
  return items?.map((item) => json(item, style, inner));
}

function jsonEntries(value: Dict, style: JsonStyle): readonly (readonly [string, Value])[] {
  const entries = [...value];
  if (style.sortKeys) {
    if (entries.some(([key]) => typeof key !== "string"))
      throw unsupported("sort_keys with keys that are not strings");
    entries.sort(([a], [b]) => (str(a) < str(b) ? -1 : 1));
  }
  return entries.map(([key, item]) => [jsonKey(key, style.asciiOnly), item]);
}

export function json(value: Value, style: JsonStyle, outer = "\n"): string {
  const scalar = jsonScalar(value, style.asciiOnly);
  if (scalar !== undefined) return scalar;
  const inner = style.indent === undefined ? outer : outer + style.indent;
  const parts = jsonParts(value, style, inner);
  if (parts === undefined)
    throw failed(`Object of type ${typeName(value)} is not JSON serializable`);
  const [open, close] = value instanceof Map ? ["{", "}"] : ["[", "]"];
  if (parts.length === 0) return open + close;
  if (style.indent === undefined) return open + parts.join(style.itemSeparator) + close;
  return `${open}${inner}${parts.join(style.itemSeparator + inner)}${outer}${close}`;
}
