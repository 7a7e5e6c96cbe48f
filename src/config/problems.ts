/** @file Mistakes in a configuration are collected and reported once, in the order in which they stand in the files. */
import { ConfigError } from "../util/errors.ts";

/** Where a value was written; `order` sorts sources (presets first, then the file, then the command line). */
export interface Origin {
  readonly order: number;
  readonly source: string;
  readonly line?: number;
  readonly column?: number;
}

interface Problem {
  readonly origin: Origin;
  readonly key: string;
  readonly message: string;
}

/** A value as it is shown in a message. */
export function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return JSON.stringify(value);
  if (typeof value === "object" && value !== null) return "a map";
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  return JSON.stringify(value);
}

const placeText = (origin: Origin): string =>
  [origin.source, origin.line, origin.column].filter((part) => part !== undefined).join(":");

export class Problems {
  private readonly list: Problem[] = [];

  add(origin: Origin, key: string, message: string): void {
    this.list.push({ origin, key, message });
  }

  get count(): number {
    return this.list.length;
  }

  /** Throws everything collected as one error; does nothing when there is nothing. */
  throwIfAny(): void {
    const sorted = [...this.list].sort(
      (a, b) =>
        a.origin.order - b.origin.order ||
        (a.origin.line ?? 0) - (b.origin.line ?? 0) ||
        (a.origin.column ?? 0) - (b.origin.column ?? 0),
    );
    const first = sorted[0];
    if (first === undefined) return;
    const text = (p: Problem) => [p.key, p.message].filter((part) => part !== "").join("  ");
    const rest = sorted.slice(1).map((p) => `\n${placeText(p.origin)}  ${text(p)}`);
    const { source, line, column } = first.origin;
    // Whoever prints the error puts its place in front, which completes the first line.
    throw new ConfigError(text(first) + rest.join(""), {
      place: {
        path: source,
        ...(line === undefined ? {} : { line }),
        ...(column === undefined ? {} : { column }),
        key: first.key,
      },
    });
  }
}
