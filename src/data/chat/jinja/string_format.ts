/** @file `"%s" % x` and `"{}".format(x)`, as far as templates go; the rest is refused, not guessed. */

import { repr, str } from "./print.ts";
import { floatText } from "./python_text.ts";
import { failed, unsupported } from "./template_error.ts";
import { float, type Keywords, numberOf, Tuple, type Value } from "./values.ts";

function percentOne(type: string, precision: string | undefined, value: Value): string {
  if (type === "s" && precision === undefined) return str(value);
  if (type === "r" && precision === undefined) return repr(value);
  const number = numberOf(value);
  if (number === undefined) throw failed(`%${type} format: a number is required`);
  if ((type === "d" || type === "i") && precision === undefined)
    return typeof value === "bigint" ? value.toString() : Math.trunc(number).toString();
  if (type === "f") return number.toFixed(precision === undefined ? 6 : Number(precision));
  throw unsupported(`the format %${precision === undefined ? "" : `.${precision}`}${type}`);
}

export function percentFormat(format: string, value: Value): string {
  const queue = value instanceof Tuple ? [...value.items] : [value];
  const text = format.replace(
    /%(?:(%)|(?:\.(\d+))?([a-zA-Z])|.?)/gs,
    (whole, percent: string | undefined, precision: string | undefined, type?: string) => {
      if (percent !== undefined) return "%";
      if (type === undefined) throw unsupported(`the format ${JSON.stringify(whole)}`);
      const next = queue.shift();
      if (next === undefined) throw failed("not enough arguments for format string");
      return percentOne(type, precision, next);
    },
  );
  if (queue.length > 0 && !(value instanceof Map))
    throw failed("not all arguments converted during string formatting");
  return text;
}

export function braceFormat(format: string, positional: readonly Value[], named: Keywords): string {
  let next = 0;
  return format.replace(/\{\{|\}\}|\{([^{}]*)\}|[{}]/g, (whole, field: string | undefined) => {
    if (whole === "{{" || whole === "}}") return whole[0] ?? "";
    if (field === undefined) throw failed("single brace in a format string");
    const [, name = "", spec = ""] = /^([^:!]*)(.*)$/s.exec(field) ?? [];
    const automatic = name === "";
    const value =
      automatic || /^\d+$/.test(name)
        ? positional[automatic ? next : Number(name)]
        : named.get(name);
    if (automatic) next += 1;
    if (value === undefined) throw failed(`format string needs a value for {${field}}`);
    if (spec === "" || spec === "!s") return str(value);
    if (spec === "!r") return repr(value);
    const precision = /^:\.(\d+)f$/.exec(spec)?.[1];
    const number = numberOf(value);
    if (precision === undefined || number === undefined) throw unsupported(`the format {${field}}`);
    return number.toFixed(Number(precision));
  });
}

/** round(): halves go to the even digit of the decimal text, as far as doubles show it. */
export function rounded(value: number, digits: number): Value {
  const scale = 10 ** digits;
  const scaled = value * scale;
  const floor = Math.floor(scaled);
  const isHalf = scaled - floor === 0.5;
  const whole = isHalf ? (floor % 2 === 0 ? floor : floor + 1) : Math.round(scaled);
  const text = floatText(whole / scale);
  return float(Number(text));
}
