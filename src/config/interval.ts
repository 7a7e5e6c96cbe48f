/** @file How often something happens, as it is written: `250`, `"10M tokens"`, `"15 minutes"`. A bare number counts steps. */

export interface Interval {
  readonly unit: "steps" | "tokens" | "minutes";
  /** 0: never. */
  readonly every: number;
}

const UNITS: Readonly<Record<string, readonly [Interval["unit"], number]>> = {
  step: ["steps", 1],
  token: ["tokens", 1],
  second: ["minutes", 1 / 60],
  minute: ["minutes", 1],
  hour: ["minutes", 60],
};
const FACTORS: Readonly<Record<string, number>> = { K: 1e3, M: 1e6, B: 1e9 };
const TEXT = /^(\d+(?:\.\d+)?)\s*([KMB])?\s+([a-z]+?)s?$/;

/** Undefined where the value is no interval. */
export function parseInterval(value: unknown): Interval | undefined {
  if (typeof value === "number")
    return Number.isSafeInteger(value) && value >= 0 ? { unit: "steps", every: value } : undefined;
  const [, number, letter, name] = (typeof value === "string" && TEXT.exec(value)) || [];
  const [unit, scale] = UNITS[name ?? ""] ?? [];
  if (unit === undefined || scale === undefined) return undefined;
  const counted = Number(number) * (FACTORS[letter ?? ""] ?? 1);
  if (unit === "minutes")
    return letter === undefined ? { unit, every: counted * scale } : undefined;
  return Number.isSafeInteger(counted) ? { unit, every: counted } : undefined;
}
