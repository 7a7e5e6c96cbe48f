/** @file Methods of str that templates call. A method that Python has and this table lacks is refused by name. */
import { bind, text, textOr, whole } from "./arguments.ts";
import { characterAt, isPythonSpace, lengthOf, splitSpaces, stripPython } from "./python_text.ts";
import { braceFormat } from "./string_format.ts";
import { failed } from "./template_error.ts";
import { iterate, type Keywords, Tuple, truth, typeName, type Value } from "./values.ts";

export type Method<T> = (self: T, positional: readonly Value[], named: Keywords) => Value;

const strip =
  (side: "both" | "start" | "end"): Method<string> =>
  (self, positional, named) => {
    const [characters] = bind("strip()", ["chars"], positional, named);
    const given = characters === undefined || characters === null ? undefined : characters;
    return stripPython(self, side, given === undefined ? undefined : text("strip()", given));
  };

const plain =
  (run: (self: string) => Value): Method<string> =>
  (self, positional, named) => {
    bind("a method", [], positional, named);
    return run(self);
  };

/** Prefixes may come as one string or as a tuple of them. */
const edge =
  (name: "startsWith" | "endsWith"): Method<string> =>
  (self, positional, named) => {
    const [what = null, start, end] = bind(
      name.toLowerCase(),
      ["prefix", "start", "end"],
      positional,
      named,
    );
    const part =
      start === undefined && end === undefined
        ? self
        : self.slice(whole(name, start, 0), whole(name, end, self.length));
    const options = what instanceof Tuple ? what.items : [what];
    return options.some((option) => part[name](text(name.toLowerCase(), option)));
  };

function splitOn(self: string, separator: string, limit: number): string[] {
  if (separator === "") throw failed("empty separator");
  const parts = self.split(separator);
  if (limit < 0 || parts.length <= limit + 1) return parts;
  return [...parts.slice(0, limit), parts.slice(limit).join(separator)];
}

const split: Method<string> = (self, positional, named) => {
  const [separator, limit] = bind("split()", ["sep", "maxsplit"], positional, named);
  const most = whole("split()", limit, -1);
  if (separator === undefined || separator === null) return splitSpaces(self, most);
  return splitOn(self, text("split()", separator), most);
};

const splitFromEnd: Method<string> = (self, positional, named) => {
  const [separator, limit] = bind("rsplit()", ["sep", "maxsplit"], positional, named);
  const most = whole("rsplit()", limit, -1);
  if (most < 0) return split(self, positional, named);
  if (separator === undefined || separator === null) {
    const reversed = splitSpaces([...self].reverse().join(""), most);
    return reversed.map((part) => [...part].reverse().join("")).reverse();
  }
  const by = text("rsplit()", separator);
  if (by === "") throw failed("empty separator");
  const parts = self.split(by);
  if (parts.length <= most + 1) return parts;
  const cut = parts.length - most;
  return [parts.slice(0, cut).join(by), ...parts.slice(cut)];
};

const partition =
  (last: boolean): Method<string> =>
  (self, positional) => {
    const by = text("partition()", positional[0]);
    const at = last ? self.lastIndexOf(by) : self.indexOf(by);
    if (at < 0) return new Tuple(last ? ["", "", self] : [self, "", ""]);
    return new Tuple([self.slice(0, at), by, self.slice(at + by.length)]);
  };

const find =
  (last: boolean, must: boolean): Method<string> =>
  (self, positional) => {
    const [what, start, end] = bind("find()", ["sub", "start", "end"], positional);
    const wanted = text("find()", what);
    const low = whole("find()", start, 0);
    const from = Math.min(self.length, low < 0 ? Math.max(0, low + self.length) : low);
    const part = self.slice(from, whole("find()", end, self.length));
    const at = last ? part.lastIndexOf(wanted) : part.indexOf(wanted);
    if (at < 0 && must) throw failed("substring not found");
    return at < 0 ? -1 : lengthOf(self.slice(0, from + at));
  };

const replace: Method<string> = (self, positional, named) => {
  const [old, fresh, count] = bind("replace()", ["old", "new", "count"], positional, named);
  const [from, to] = [text("replace()", old), text("replace()", fresh)];
  const most = whole("replace()", count, -1);
  if (most < 0) return self.replaceAll(from, () => to);
  let out = "";
  let rest = self;
  for (let done = 0; done < most; done += 1) {
    const at = rest.indexOf(from);
    if (at < 0) break;
    out += rest.slice(0, at) + to;
    rest = rest.slice(at + from.length);
  }
  return out + rest;
};

const join: Method<string> = (self, positional) => {
  const [items] = bind("join()", ["iterable"], positional);
  return iterate(items ?? null)
    .map((item) => {
      if (typeof item === "string") return item;
      throw failed(`join() expects strings, got ${typeName(item)}`);
    })
    .join(self);
};

export const capitalized = (self: string): string => {
  const first = characterAt(self, 0) ?? "";
  return first.toUpperCase() + self.slice(first.length).toLowerCase();
};

const titled = (self: string): string => self.replace(/\p{L}+/gu, (word) => capitalized(word));

const isCase = (self: string, upper: boolean): boolean =>
  /\p{Lu}|\p{Ll}|\p{Lt}/u.test(self) && self === (upper ? self.toUpperCase() : self.toLowerCase());

const pad =
  (run: (self: string, missing: number, fill: string) => string): Method<string> =>
  (self, positional) => {
    const [width, fill] = bind("padding", ["width", "fillchar"], positional);
    const missing = whole("padding", width) - lengthOf(self);
    return missing <= 0 ? self : run(self, missing, textOr("padding", fill, " "));
  };

export function centered(self: string, width: number, fill = " "): string {
  const missing = width - lengthOf(self);
  if (missing <= 0) return self;
  const left = Math.floor(missing / 2) + (missing & width & 1);
  return fill.repeat(left) + self + fill.repeat(missing - left);
}

const count: Method<string> = (self, positional) => {
  const wanted = text("count()", positional[0]);
  return wanted === "" ? lengthOf(self) + 1 : self.split(wanted).length - 1;
};

/** Python's ends of lines, more than JavaScript's. */
const LINE_END = "\\r\\n|[\\n\\r\\v\\f\\x1c-\\x1e\\x85\\u2028\\u2029]";
const LINES = new RegExp(`[\\s\\S]*?(${LINE_END}|$)`, "g");
const LAST_END = new RegExp(`(${LINE_END})$`);

export function linesOf(self: string, keepEnds: boolean): string[] {
  const lines = (self.match(LINES) ?? []).filter((line) => line !== "");
  return keepEnds ? lines : lines.map((line) => line.replace(LAST_END, ""));
}

const splitlines: Method<string> = (self, positional, named) => {
  const [keep = false] = bind("splitlines()", ["keepends"], positional, named);
  return linesOf(self, truth(keep));
};

export const STRING_METHODS: ReadonlyMap<string, Method<string>> = new Map<string, Method<string>>([
  ["strip", strip("both")],
  ["lstrip", strip("start")],
  ["rstrip", strip("end")],
  ["startswith", edge("startsWith")],
  ["endswith", edge("endsWith")],
  ["split", split],
  ["rsplit", splitFromEnd],
  ["splitlines", splitlines],
  ["partition", partition(false)],
  ["rpartition", partition(true)],
  ["find", find(false, false)],
  ["rfind", find(true, false)],
  ["index", find(false, true)],
  ["rindex", find(true, true)],
  ["count", count],
  ["replace", replace],
  ["join", join],
  ["format", (self, positional, named) => braceFormat(self, positional, named)],
  ["upper", plain((self) => self.toUpperCase())],
  ["lower", plain((self) => self.toLowerCase())],
  ["title", plain(titled)],
  ["capitalize", plain(capitalized)],
  ["isspace", plain((self) => isPythonSpace(self))],
  ["isdigit", plain((self) => /^\p{Nd}+$/u.test(self))],
  ["isdecimal", plain((self) => /^\p{Nd}+$/u.test(self))],
  ["isnumeric", plain((self) => /^\p{N}+$/u.test(self))],
  ["isalpha", plain((self) => /^\p{L}+$/u.test(self))],
  ["isalnum", plain((self) => /^[\p{L}\p{N}]+$/u.test(self))],
  ["isupper", plain((self) => isCase(self, true))],
  ["islower", plain((self) => isCase(self, false))],
  ["ljust", pad((self, missing, fill) => self + fill.repeat(missing))],
  ["rjust", pad((self, missing, fill) => fill.repeat(missing) + self)],
  ["center", pad((self, missing, fill) => centered(self, missing + lengthOf(self), fill))],
  ["zfill", pad((self, missing) => self.replace(/^[-+]?/, (sign) => sign + "0".repeat(missing)))],
  [
    "removeprefix",
    (self, [what]) => {
      const prefix = text("removeprefix()", what);
      return self.startsWith(prefix) ? self.slice(prefix.length) : self;
    },
  ],
  [
    "removesuffix",
    (self, [what]) => {
      const suffix = text("removesuffix()", what);
      return suffix !== "" && self.endsWith(suffix) ? self.slice(0, -suffix.length) : self;
    },
  ],
]);

/** Methods of Python's str that are not in the table. */
export const OTHER_STRING_METHODS: ReadonlySet<string> = new Set([
  ...["casefold", "encode", "expandtabs", "format_map", "isascii", "isidentifier"],
  ...["isprintable", "istitle", "maketrans", "swapcase", "translate"],
]);
