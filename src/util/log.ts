/**
 * @file Messages for people, always on stderr; data belongs to stdout. The one place that knows consola.
 */
import { type ConsolaInstance, createConsola, LogLevels } from "consola/basic";
import { redacted } from "./redact.ts";

export type Verbosity = "quiet" | "normal" | "verbose";

/** Colour is decided per stream: off without a TTY, with NO_COLOR, TERM=dumb or --no-color; FORCE_COLOR wins. */
export function useColor(stream: { isTTY?: boolean }, disabled = false): boolean {
  if (disabled) return false;
  const force = process.env.FORCE_COLOR ?? process.env.CLICOLOR_FORCE;
  if (force !== undefined && force !== "" && force !== "0") return true;
  if ((process.env.NO_COLOR ?? "") !== "") return false;
  return stream.isTTY === true && process.env.TERM !== "dumb";
}

const LABELS: Record<string, string> = { warn: "warning: ", error: "error: ", debug: "debug: " };
const COLORS: Record<string, string> = { warn: "\x1b[33m", error: "\x1b[31m", debug: "\x1b[2m" };

let color = useColor(process.stderr);

const consola: ConsolaInstance = createConsola({
  level: LogLevels.info,
  reporters: [
    {
      log(entry) {
        const label = LABELS[entry.type] ?? "";
        const start = color ? (COLORS[entry.type] ?? "") : "";
        const end = start === "" ? "" : "\x1b[0m";
        const text = redacted(entry.args.map(String).join(" "));
        process.stderr.write(`${start}${label}${end}${text}\n`);
      },
    },
  ],
});

export const log = {
  info: (message: string): void => consola.info(message),
  warn: (message: string): void => consola.warn(message),
  error: (message: string): void => consola.error(message),
  debug: (message: string): void => consola.debug(message),
};

export function setVerbosity(verbosity: Verbosity, noColor = false): void {
  const levels = { quiet: LogLevels.warn, normal: LogLevels.info, verbose: LogLevels.debug };
  consola.level = levels[verbosity];
  color = useColor(process.stderr, noColor);
}
