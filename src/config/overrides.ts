/** @file Overrides from the command line: `a.b.c=value`, the value in YAML flow syntax. */
import { UserError } from "../util/errors.ts";
import type { Origin, Problems } from "./problems.ts";
import { parseValue, type Tree } from "./yaml.ts";

export interface Override {
  readonly parts: readonly string[];
  readonly value: Tree | undefined;
  readonly origin: Origin;
}

export function parseOverride(text: string, order: number, problems: Problems): Override {
  const equals = text.indexOf("=");
  if (equals <= 0)
    throw new UserError(`expected an override like training.steps=100, got "${text}"`, {
      code: "config",
    });
  const key = text.slice(0, equals).trim();
  if (/^\d+:/.test(key))
    throw new UserError(`"${text}" is for one stage of several, and there is but one here`, {
      code: "config",
    });
  const origin: Origin = { order, source: "command line" };
  return {
    parts: key.split("."),
    value: parseValue(text.slice(equals + 1), origin, key, problems),
    origin,
  };
}
