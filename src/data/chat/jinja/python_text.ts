/** @file Text as Python treats it where JavaScript differs: white space, characters outside the basic plane, numbers. */

const SPACES =
  "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const START = new RegExp(`^[${SPACES}]+`);
const ONLY = new RegExp(`^[${SPACES}]+$`);
const RUNS = new RegExp(`[${SPACES}]+`);
const SPACE = new RegExp(`[${SPACES}]`);

export const isPythonSpace = (text: string): boolean => ONLY.test(text);

const isSpaceUnit = (unit: number): boolean =>
  unit <= 0x20
    ? unit === 0x20 || (unit >= 9 && unit <= 13) || unit >= 0x1c
    : unit >= 0x85 && SPACE.test(String.fromCharCode(unit));

/** str.strip() and its one-sided forms; without `characters`, white space. */
export function stripPython(
  text: string,
  side: "both" | "start" | "end",
  characters?: string,
): string {
  const [from, to] = [side !== "end", side !== "start"];
  let [start, end] = [0, text.length];
  if (characters === undefined) {
    while (from && start < end && isSpaceUnit(text.charCodeAt(start))) start += 1;
    while (to && end > start && isSpaceUnit(text.charCodeAt(end - 1))) end -= 1;
    return text.slice(start, end);
  }
  const wanted = new Set(characters);
  const points = [...text];
  end = points.length;
  while (from && start < end && wanted.has(points[start] ?? "")) start += 1;
  while (to && end > start && wanted.has(points[end - 1] ?? "")) end -= 1;
  return points.slice(start, end).join("");
}

/** str.split() without a separator. */
export function splitSpaces(text: string, limit: number): string[] {
  let rest = text.replace(START, "");
  const out: string[] = [];
  while (rest !== "") {
    const gap = out.length === limit ? null : RUNS.exec(rest);
    if (gap === null) {
      out.push(out.length === limit ? rest : stripPython(rest, "end"));
      break;
    }
    out.push(rest.slice(0, gap.index));
    rest = rest.slice(gap.index + gap[0].length);
  }
  return out;
}

/** Whether indices of UTF-16 units and of characters differ. */
const isWide = (text: string): boolean => /[\ud800-\udfff]/.test(text);

export const lengthOf = (text: string): number => (isWide(text) ? [...text].length : text.length);

/** The characters as Python counts them. */
export const charactersOf = (text: string): string[] => [...text];

export function characterAt(text: string, index: number): string | undefined {
  return isWide(text) ? [...text].at(index) : text.at(index);
}

/** Order of two strings by code point. */
export function compareText(a: string, b: string): number {
  if (!isWide(a) && !isWide(b)) return a < b ? -1 : a > b ? 1 : 0;
  const [left, right] = [[...a], [...b]];
  for (let i = 0; i < Math.min(left.length, right.length); i += 1) {
    const difference = (left[i]?.codePointAt(0) ?? 0) - (right[i]?.codePointAt(0) ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

/** repr() of a float. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (Object.is(value, -0)) return "-0.0";
  const [digits = "", power = "0"] = value.toExponential().split("e");
  const exponent = Number(power);
  if (value !== 0 && (exponent < -4 || exponent >= 16)) {
    const size = String(Math.abs(exponent)).padStart(2, "0");
    return `${digits}e${exponent < 0 ? "-" : "+"}${size}`;
  }
  const plain = value.toString();
  if (!plain.includes("e")) return plain.includes(".") ? plain : `${plain}.0`;
  return `${value < 0 ? "-" : ""}0.${"0".repeat(-exponent - 1)}${digits.replace(/[-.]/g, "")}`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  ...{ "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" },
};

/** repr() of a string. */
export function quotedText(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const body = text.replace(/[\\\p{C}\p{Z}'"]/gu, (character) => {
    if (character === quote) return `\\${quote}`;
    if (/^[ '"]$/.test(character)) return character;
    const known = ESCAPES[character];
    if (known !== undefined) return known;
    const code = character.codePointAt(0) ?? 0;
    if (code < 0x100) return `\\x${code.toString(16).padStart(2, "0")}`;
    const wide = code >= 0x10000;
    return `\\${wide ? "U" : "u"}${code.toString(16).padStart(wide ? 8 : 4, "0")}`;
  });
  return `${quote}${body}${quote}`;
}

/** A string as json.dumps writes it, which for well-formed text is what JSON.stringify does. */
export function jsonText(text: string, asciiOnly: boolean): string {
  const quoted = JSON.stringify(text);
  if (!asciiOnly) return quoted;
  return quoted.replace(
    /[\x7f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
