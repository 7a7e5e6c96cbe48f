/** @file Patterns of Python's `re` as JavaScript's. */
import { ConfigError } from "../util/errors.ts";

/** Throws a ConfigError for what differs too much. */
export function pythonRegex(pattern: string, flags = ""): RegExp {
  const inline = /^\(\?([aimsux]+)\)/.exec(pattern);
  const shown = JSON.stringify(pattern);
  if (inline?.[1]?.includes("x"))
    throw new ConfigError(`the pattern ${shown} is verbose, which is not supported`);
  const all = new Set(`${flags}${inline?.[1] ?? ""}`.replaceAll(/[aux]/g, ""));
  const source = (inline === null ? pattern : pattern.slice(inline[0].length))
    .replaceAll("(?P<", "(?<")
    .replaceAll(/\(\?P=(\w+)\)/g, "\\k<$1>")
    .replaceAll("\\A", "^")
    .replaceAll("\\Z", "$");
  try {
    return new RegExp(source, [...all].join(""));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ConfigError(`the pattern ${shown} cannot be used: ${why}`);
  }
}
