/** @file What went wrong in a user's file, as one message with its place: Bun reports it in half a dozen shapes. */
import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { ConfigError, type ErrorPlace, UserError } from "../util/errors.ts";
import { didYouMean } from "../util/suggest.ts";

/** A syntax error, in the shape that Bun gives it. */
interface BuildFailure {
  readonly message: string;
  readonly position: { readonly file: string; readonly line: number; readonly column: number };
}

const OUR_SOURCES = join(dirname(import.meta.path), "..");
const MESSAGES_SHOWN = 5;

/** As the user would type it: relative when it is below the current folder. */
function shownPath(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith("..") ? path : short;
}

const isTheirs = (path: string): boolean =>
  path.startsWith("/") &&
  !path.startsWith("/$bunfs/") &&
  !path.startsWith(`${OUR_SOURCES}/`) &&
  !path.includes("/node_modules/");

/** The innermost call in a file of the user's. */
function placeInStack(stack: string): ErrorPlace | undefined {
  for (const frame of stack.split("\n")) {
    const found = /^\s+at .*?\(?(\/[^():]+):(\d+):(\d+)\)?$/.exec(frame);
    if (found === null) continue;
    const [, path = "", line, column] = found;
    if (isTheirs(path))
      return { path: shownPath(path), line: Number(line), column: Number(column) };
  }
  return undefined;
}

/** The first line of a file in which a word stands. */
function placeOfWord(path: string, word: string): ErrorPlace {
  const lines = readFileSync(path, "utf8").split("\n");
  const at = lines.findIndex((line) => line.includes(word));
  return at === -1 ? { path: shownPath(path) } : { path: shownPath(path), line: at + 1 };
}

const isBuildFailure = (error: unknown): error is BuildFailure =>
  error instanceof Error && typeof (error as Partial<BuildFailure>).position?.file === "string";

function syntaxFault(failures: readonly BuildFailure[]): ConfigError {
  const [first, ...others] = failures.slice(0, MESSAGES_SHOWN);
  const where = ({ position: { file, line, column } }: BuildFailure) =>
    `${shownPath(file)}:${line}:${column}`;
  const rest = others.map((each) => `\n${where(each)}  ${each.message}`);
  const { file, line, column } = first?.position ?? { file: "", line: 0, column: 0 };
  return new ConfigError(`${first?.message}${rest.join("")}`, {
    place: { path: shownPath(file), line, column },
  });
}

/** `names`: what the package exports, for suggestions; `entry`: the file that was being loaded. */
export function userFault(error: unknown, entry: string, names: readonly string[]): UserError {
  if (error instanceof AggregateError && error.errors.every(isBuildFailure))
    return syntaxFault(error.errors);
  if (isBuildFailure(error)) return syntaxFault([error]);
  if (!(error instanceof Error)) {
    const text = typeof error === "string" ? error : JSON.stringify(error);
    return new ConfigError(`it threw ${text}`, { place: { path: shownPath(entry) } });
  }
  const { message } = error;
  const place = placeInStack(error.stack ?? "");
  if (error instanceof UserError) {
    if (place === undefined || error.place.line !== undefined) return error;
    const { code, hint } = error;
    const more = hint === undefined ? {} : { hint };
    return new UserError(message, { code, ...more, place: { ...error.place, ...place } });
  }
  const missing = /^Cannot find (?:module|package) '(.+)' imported from (.+)$/.exec(message);
  if (missing !== null) {
    const [, specifier = "", from = entry] = missing;
    const at = isTheirs(from) ? placeOfWord(from, specifier) : { path: shownPath(entry) };
    return new ConfigError(`there is no module "${specifier}"`, { place: at });
  }
  const unexported = /^Export named '(.+)' not found in module '(.+)'\.$/.exec(message);
  if (unexported !== null) {
    const [, name = "", from = ""] = unexported;
    const guess = from === "theseus" ? didYouMean(name, names) : "";
    return new ConfigError(`"${shownPath(from)}" exports nothing named "${name}".${guess}`, {
      place: placeOfWord(entry, name),
    });
  }
  const name = error.name === "Error" ? "" : `${error.name}: `;
  return new ConfigError(`${name}${message}`, { place: place ?? { path: shownPath(entry) } });
}
